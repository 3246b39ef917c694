import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.errors import Preempted
from stillhouse.stages import DATA_PATH
from stillhouse.vocabulary.rows import Question, Response

PROGRAM = Path(sys.executable).with_name("stillhouse")


def stillhouse(*arguments: object, rc: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == rc, done.stdout + done.stderr
    return done


def error_of(*arguments: object, cwd: Path | None = None) -> str:
    """The one line on standard error of a command that fails."""
    done = stillhouse(*arguments, rc=1, cwd=cwd)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_help_lists_every_stage_with_its_first_line():
    text = stillhouse("--help").stdout
    tools = ("export", "import", "lineage", "rollback", "show", "summary", "sync")
    assert [name for name in (*DATA_PATH, *tools) if f" {name} " not in text] == []


def test_store_out_of_reach_is_one_line_and_exit_code_75(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    done = stillhouse("show", "s3://house/questions/mine/1", rc=75, cwd=tmp_path)
    *waiting, error = done.stderr.splitlines()
    assert error.startswith("try again: s3://house/questions/mine/1")
    assert all("the store does not answer" in line for line in waiting)


def test_no_arguments_prints_the_help():
    done = subprocess.run([PROGRAM], capture_output=True, text=True)
    assert "Usage: stillhouse" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", DATA_PATH)
def test_stage_help_shows_its_inputs_and_every_config_field(name):
    from stillhouse import stages
    from stillhouse.execution.contract import input_names

    stage = stages.load(name)
    text = stillhouse(name, "--help").stdout
    assert [word for word in (*stage.Config.model_fields, *input_names(stage.Inputs)) if word not in text] == []


@pytest.mark.parametrize("name", DATA_PATH)
def test_stage_every_config_field_says_what_it_is(name):
    from stillhouse import stages

    assert [field for field, info in stages.load(name).Config.model_fields.items() if not info.description] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verifed", "--output", "x"], "No such command 'verifed'. Did you mean 'verified'? See stillhouse --help"),
        (["verified", "--otput", "x"], "No such option: --otput"),
        (["verified"], "Missing option '--output'"),
        (["verified", "--output", "store/verified/out/1", "--input", "responses"], "--input responses: not of the form NAME=URI"),
        (["verified", "--output", "store/verified/out/1", "--input", "answers=x"], "verified takes no such input; its inputs: "),
        (["verified", "--output", "store/verified/out/1"], "verified needs --input questions=URI, got none"),
        (
            ["verified", "--output", "store/verified/out/1", "--input", "questions=nowhere", "--input", "responses=x"],
            "nothing is published there",
        ),
        (["verified", "--output", "gs://b/x"], "no store for gs://"),
        (["verified", "--output", "out", "--config", '{"timeout": 5}'], "timeout: no such field (did you mean timeout_s?)"),
        (["verified", "--output", "out", "--config", "@laptop/verifed"], "did you mean @laptop/verified?"),
        (["verified", "--output", "out", "--set", "timeout_s=0"], "timeout_s: input should be greater than 0, got 0"),
        (["verified", "--output", "out", "--shard", "3/3"], "--shard 3/3: not of the form INDEX/COUNT"),
        (["lineage", "nowhere"], "nothing is published there"),
        (["show", "nowhere"], "nothing is published there"),
        (["show", "nowhere", "--rows", "-1"], "Invalid value for '--rows'"),
        (["import", "nowhere.jsonl", "--as", "questions", "-o", "out"], "nowhere.jsonl: no such file; give one file of rows"),
        (["import", "a.jsonl", "b.jsonl", "--as", "questions", "-o", "out"], "2 files; concatenate them and give one"),
        (
            ["import", "a.jsonl", "--as", "am-40m", "-o", "out"],
            "a release becomes several artifacts; write ROOT/{stage}/NAME/VERSION",
        ),
        (["export", "nowhere", "--as", "am-40", "-o", "out.jsonl"], "--as am-40: no such form; did you mean am-40m?"),
        (["export", "nowhere", "--as", "am-40m", "-o", "out.csv"], "--output out.csv: not a JSON Lines file"),
        (["export", "nowhere", "--as", "am-40m", "-o", "out.jsonl"], "nothing is published there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_and_exit_code_1_and_nothing_is_published(arguments, says, tmp_path):
    assert says in error_of(*arguments, cwd=tmp_path)
    assert not list(tmp_path.rglob("manifest.json"))


def test_import_to_verified_by_hand_then_show_and_lineage(tmp_path):
    prompts = [[{"role": "user", "content": f"{n} + {n}?"}] for n in range(3)]
    asked = [
        {"question_id": f"q{n}", "category": "math", "messages": prompt, "reference_answer": str(n + n)}
        for n, prompt in enumerate(prompts)
    ]
    texts = ["<think>so</think><answer>0</answer>", "<think>so</think><answer>3</answer>", "<think>so</think>\\boxed{4}"]
    said = [{"question_id": f"q{n}", "model": "mine", "sample_index": 0, "text": text} for n, text in enumerate(texts)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, said)))
    stillhouse("import", "q.jsonl", "--as", "questions", "--output", "out/questions/mine/1", cwd=tmp_path)
    stillhouse("import", "r.jsonl", "--as", "responses", "--output", "out/responses/mine/1", cwd=tmp_path)
    command = [
        "verified", "--input", "questions=out/questions/mine/1", "--input", "responses=out/responses/mine/1", "--output",
        "out/verified/mine/1",
    ]  # fmt: skip
    first = stillhouse(*command, cwd=tmp_path)
    assert first.stdout.startswith("verified done in ")
    assert "3 rows" in first.stdout
    shown = stillhouse("show", "out/verified/mine/1", cwd=tmp_path).stdout
    rows = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert {row["question_id"]: row["passed"] for row in rows} == {"q0": True, "q1": False, "q2": True}
    assert stillhouse(*command, cwd=tmp_path).stdout.startswith("verified unchanged, skipped")
    assert "holds fingerprint" in error_of(*command, "--set", "timeout_s=3", cwd=tmp_path)
    lines = stillhouse("lineage", "out/verified/mine/1", cwd=tmp_path).stdout.splitlines()
    assert [line.partition(" ← ")[0] for line in lines[1:]] == ["  questions", "  responses"]
    assert "3 rows" in lines[1]


def test_release_is_imported_exported_and_imported_again(tmp_path):
    row = {"question": "1+1?", "answer": "<think>so</think>\n<answer>2</answer>", "category": "math", "ground_truth": "2", "id": 7}
    (tmp_path / "release.jsonl").write_text(json.dumps(row) + "\n" + "{\n")
    told = stillhouse(
        "import",
        "release.jsonl",
        "--as",
        "am-40m",
        "-o",
        "a/{stage}/x/1",
        "--license",
        "MIT",
        "--max-bad-rate",
        "0.5",
        cwd=tmp_path,
    ).stdout
    assert re.sub(r" · \w+", "", told).splitlines() == [
        "questions: 1 rows at a/questions/x/1", "  no such column, left out: id (1 rows)", "  dropped bad_json 1",
        "responses: 1 rows at a/responses/x/1",
    ]  # fmt: skip
    told = stillhouse("export", "a/responses/x/1", "--as", "am-1.4m", "-o", "out/data.jsonl.zst", cwd=tmp_path).stdout
    assert re.sub(r" · .*", "", told).splitlines() == [
        "out/data.jsonl.zst: 1 rows", "  no column for category (1 rows)", "  no column for license (1 rows)",
    ]  # fmt: skip
    assert "license: mit" in (tmp_path / "out" / "README.md").read_text()
    told = stillhouse("import", "out/data.jsonl.zst", "--as", "am-1.4m", "-o", "b/{stage}/x/1", cwd=tmp_path).stdout
    assert told.count("1 rows") == 2


def test_lineage_artifact_that_is_gone_is_marked(tmp_path):
    uri = (tmp_path / "questions" / "toy" / "1").as_uri()
    asked = testing.question()
    testing.publish([asked], Question, uri)
    testing.publish([testing.response(asked)], Response, f"{tmp_path}/responses/toy/1")
    given = ["-i", f"questions={uri}", "-i", f"responses={tmp_path}/responses/toy/1"]
    stillhouse("screened", *given, "-o", f"{tmp_path}/screened/toy/1")
    (tmp_path / "questions" / "toy" / "1" / "manifest.json").unlink()
    assert f"questions ← {uri} · gone from the store" in stillhouse("lineage", f"{tmp_path}/screened/toy/1").stdout


@pytest.fixture
def raising(tmp_path, monkeypatch, capsys):
    """Runs a stage whose work raises an error: what is said on standard error, and the exit code."""
    from stillhouse import __main__
    from stillhouse.execution import execute

    def run(error: BaseException | Callable[[], None]) -> tuple[str, int]:
        def work(*_: object, **__: object) -> None:
            if isinstance(error, BaseException):
                raise error
            error()

        monkeypatch.setattr(execute, "execute", work)
        monkeypatch.setattr(sys, "argv", ["stillhouse", "verified", "--output", str(tmp_path)])
        for stream in ("stdout", "stderr"):
            monkeypatch.setattr(sys, stream, getattr(sys, stream))  # main wraps them
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        return capsys.readouterr().err, ended.value.code

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


class SafetensorError(Exception):
    """As safetensors' own."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError(
            "[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed writing file data/3: file write failed"
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_full_disk_is_one_line_whoever_meets_it(raising, error):
    said, code = raising(error)
    assert len(said.splitlines()) == 1
    assert said.startswith("error: ")
    assert "; free some room, or set STILLHOUSE_SCRATCH" in said
    assert code == 1


def test_full_disk_behind_another_error_is_told(raising):
    error = RuntimeError("could not save")
    error.__cause__ = OSError(28, "No space left on device")
    assert "could not save; free some room" in raising(error)[0]


@pytest.mark.parametrize(("error", "word"), [(KeyboardInterrupt(), "stopped by the user"), (Preempted(), "preempted (SIGTERM)")])
def test_interrupted_says_by_what_and_that_it_can_go_on(raising, error, word):
    said, code = raising(error)
    assert said == f"try again: {word}; finished parts are kept: run the same command again to go on\n"
    assert code == 75


def test_sigterm_is_told_as_preemption(raising):
    said, code = raising(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (said[:30], code) == ("try again: preempted (SIGTERM)", 75)


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert stillhouse("--version").stdout == f"stillhouse {version('stillhouse')}\n"


def test_sync_without_a_server_says_what_to_set():
    done = stillhouse("sync", rc=1)
    assert "sync needs an MLflow server, and MLFLOW_TRACKING_URI is not set" in done.stderr


def obeyed(text: str) -> list[str]:
    """The characters that a terminal would obey."""
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cf"} and char not in "\n\t"]


def test_escape_sequences_of_rows_and_columns_never_reach_the_terminal(tmp_path):
    question = {
        "question_id": "q1", "category": "math", "messages": [{"role": "user", "content": "1 + 1? \x9b31m \u202e"}],
        "reference_answer": "2",
    }  # fmt: skip
    response = {"question_id": "q1", "model": "large\x1b[31m", "sample_index": 0, "text": "<answer>\\boxed{2}</answer>"}
    wrong = {"w": question | {"category": "math\x1b]0;PWNED\x07"}, "c": question | {"x\x1b[31m": "1"}}
    for name, row in ({"q": question, "r": response} | wrong).items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    commands = {
        "q": ["import", "q.jsonl", "--as", "questions", "-o", "o/questions/x/1"],
        "r": ["import", "r.jsonl", "--as", "responses", "-o", "o/responses/x/1"],
        "w": ["import", "w.jsonl", "--as", "questions", "-o", "o/questions/w/1"],
        "c": ["import", "c.jsonl", "--as", "questions", "-o", "o/questions/c/1"],
        "v": ["verified", "-i", "questions=o/questions/x/1", "-i", "responses=o/responses/x/1", "-o", "o/verified/x/1"],
        "s": ["show", "o/questions/x/1"],
        "t": ["show", "o/verified/x/1"],
    }
    told = {}
    for name, command in commands.items():
        done = subprocess.run([PROGRAM, *command], capture_output=True, text=True, cwd=tmp_path)
        told[name] = done.stdout + done.stderr
    assert {name: obeyed(text) for name, text in told.items()} == {name: [] for name in commands}
    assert r"large\x1b[31m" in told["v"]
    assert r"x\x1b[31m" in told["c"]


def test_error_reaches_the_termination_log(tmp_path, monkeypatch, capsys):
    from stillhouse import __main__
    from stillhouse.execution import exits

    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(exits, "TERMINATION_LOG", log)
    monkeypatch.setattr(sys, "argv", ["stillhouse", "lineage", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        __main__.main()
    assert log.read_text() == capsys.readouterr().err.removeprefix("error: ").rstrip()


def test_verify_artifact_says_what_is_damaged(tmp_path):
    uri = f"{tmp_path}/questions/toy/1"
    testing.publish(testing.questions(3), Question, uri)
    assert "1: sound" in stillhouse("verify-artifact", uri, "--deep").stdout
    part = next((tmp_path / "questions" / "toy" / "1").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    assert (
        error_of("verify-artifact", uri) == "1 artifacts are damaged; restore their files, or make them again under another version"
    )
