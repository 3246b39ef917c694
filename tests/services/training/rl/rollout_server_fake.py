"""A vLLM server on loopback, with the routes that a training asks, and faults that a test plants."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from safetensors.torch import load_file


class FakeRolloutServer:
    """Writes rollouts with a model of its own; ``faults`` maps a route to what happens in place of the answer."""

    def __init__(self, model=None):
        self.model, self.faults, self.asked = model, {}, []
        self.logprobs_mode = "processed_logprobs"
        self.start()

    def start(self, port=0):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(None)

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.answer(json.loads(self.rfile.read(length) or "{}"))

            def answer(self, body):
                route = self.path.removeprefix("/").partition("?")[0]
                rollouts = route == "v1/completions" and "prompt_logprobs" not in body
                server.asked.append(f"{route}:rollouts" if rollouts else route)
                if route in server.faults:
                    server.faults[route](self)
                    return
                self.reply(200, server.reply(route, body))

            def reply(self, status, content):
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self._http.shutdown()
        self._http.server_close()

    def restart(self):
        self.start(int(self.url.rpartition(":")[2]))

    def reply(self, route, body):
        if route == "collective_rpc":
            self.model.load_state_dict(load_file(f"{body['kwargs']['weights_path']}/model.safetensors"))
        if route != "v1/completions":
            info = {"vllm_config": {"model_config": {"logprobs_mode": self.logprobs_mode}}}
            return {"v1/models": {"data": [{"id": "toy"}]}, "server_info": info}.get(route, {"success": True})
        if "prompt_logprobs" in body:
            choices = [{"index": index, "prompt_logprobs": self.scores(ids)} for index, ids in enumerate(body["prompt"])]
        else:
            generator = torch.Generator().manual_seed(sum(body["prompt"][0]))  # the same in every run
            choices = [self.rollout(ids, body, generator) for ids in body["prompt"] for _ in range(body["n"])]
        return {"choices": choices}

    @torch.no_grad()
    def scores(self, ids):
        logprobs = self.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        return [None, *({str(token): {"logprob": float(logprobs[at, token])}} for at, token in enumerate(ids[1:]))]

    @torch.no_grad()
    def sampled(self, ids, most, generator):
        """Token by token, without torch's one random state: that is the trainer's, in the same process."""
        written = list(ids)
        while len(written) < len(ids) + most and (written == ids or written[-1] != self.model.config.eos_token_id):
            chances = self.model(input_ids=torch.tensor([written])).logits[0, -1].softmax(-1)
            written.append(int(torch.multinomial(chances, 1, generator=generator)))
        return written

    @torch.no_grad()
    def rollout(self, ids, body, generator):
        if self.model is None:
            written, values = [*ids, 7, 8], [-0.5, -0.25]
        else:
            written = self.sampled(ids, body["max_tokens"], generator)
            values = [next(iter(entry.values()))["logprob"] for entry in self.scores(written)[len(ids) :]]
        tokens = [f"token_id:{token}" for token in written[len(ids) :]]
        return {
            "prompt_token_ids": ids, "token_ids": written[len(ids) :],
            "logprobs": {"tokens": tokens, "token_logprobs": values, "top_logprobs": [None] * len(tokens)},
        }  # fmt: skip


def refused(handler):
    handler.reply(503, {"detail": "out of memory"})


def broken_off(handler):
    handler.connection.close()


def garbled(handler):
    handler.reply(200, {"choices": []})
