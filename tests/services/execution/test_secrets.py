"""Secrets planted in the environment, in URLs and in what an endpoint echoes: no output of a run, good or bad, holds one."""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("stillhouse")
SECRETS = {
    "STILLHOUSE_API_KEY": "planted-endpoint-key-17",
    "AWS_SECRET_ACCESS_KEY": "planted/aws+secret/17",
    "HF_TOKEN": "hf_plantedTOKEN17",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password-17",
}
IN_URL = "planted-url-password-17"
OF_OTHERS = "sk-planted-of-another-service-17"


class Echo(BaseHTTPRequestHandler):
    """Refuses the key and says it, as some gateways do; lists the model first where ``lists`` is set."""

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": "toy"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = f"bad key {self.headers['Authorization']}, {OF_OTHERS}, \x1b[31mred"
        self._reply(self.server.status, {"error": {"message": said}})

    def _reply(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(params=[401, 400])
def endpoint(request):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.status = request.param
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def held(directory: Path) -> str:
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in sorted(directory.rglob("*")) if path.is_file())


@pytest.mark.timeout(180)
def test_run_with_failures_holds_no_planted_secret(tmp_path, endpoint):
    row = {"question_id": "q1", "category": "math", "messages": [{"role": "user", "content": "1 + 1?"}], "reference_answer": "2"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row))
    (tmp_path / "spool").mkdir()
    environment = os.environ | SECRETS | {
        "AWS_ACCESS_KEY_ID": "AKIAPLANTED0000017A", "AWS_ENDPOINT_URL": f"http://svc:{IN_URL}@127.0.0.1:9",
        "MLFLOW_TRACKING_URI": f"http://svc:{IN_URL}@127.0.0.1:9", "STILLHOUSE_SPOOL": str(tmp_path / "spool"),
        "STILLHOUSE_ENDPOINTS": f"http://svc:{IN_URL}@{endpoint}/v1", "STILLHOUSE_TRACKING_PATIENCE_S": "1",
    }  # fmt: skip
    sampled = ["responses", "-s", "engine=openai", "-s", "model=toy", "-s", "samples=2", "-i", "questions=o/questions/x/1"]
    commands = [
        ["import", "q.jsonl", "--as", "questions", "-o", "o/questions/x/1"],
        [*sampled, "-o", "o/responses/x/1"],
        ["show", "s3://bucket/questions/x/1"],
        ["sync"],
    ]
    told = ""
    for command in commands:
        done = subprocess.run([PROGRAM, *command], capture_output=True, text=True, cwd=tmp_path, env=environment)
        told += f"{command} {done.returncode}\n{done.stdout}{done.stderr}"
    everything = told + held(tmp_path)
    planted = [*SECRETS.values(), "AKIAPLANTED0000017A", IN_URL, OF_OTHERS, base64.b64encode(f"svc:{IN_URL}".encode()).decode()]
    assert [secret for secret in planted if secret in everything] == []
    assert "\x1b" not in told
    assert "bad key Basic ***" in everything  # it was said, without the key
    assert "http://***@127.0.0.1:9" in everything
    assert len(list((tmp_path / "spool").glob("*.jsonl"))) >= 1
