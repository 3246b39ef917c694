"""Requests to a vLLM server that writes rollouts, besides those of TRL's client."""

from typing import Any

from trl.generation.vllm_client import VLLMClient

from stillhouse.errors import EngineFailed, EngineLost
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.text import shortened


def ask(client: VLLMClient, route: str, body: dict[str, Any], task: str, doing: str) -> str:
    """The text of the server's answer. ``task`` and ``doing`` name the request in errors, as in "take weights", "took the weights".

    Raises EngineLost if the server is gone or does not answer in time, EngineFailed if it refuses.
    """
    server = f"rollouts: the vLLM server at {client.base_url}"
    try:
        reply = client.session.post(f"{client.base_url}/{route}", json=body)
    except OSError as error:
        msg = f"{server} failed while it {doing}: {one_line(error)}; look at its log"
        raise EngineLost(msg) from error
    if reply.status_code != 200:
        # All routes but OpenAI's are vLLM's development routes.
        absent = reply.status_code == 404 and not route.startswith("v1/")
        hint = "start it with VLLM_SERVER_DEV_MODE=1" if absent else "look at its log"
        msg = f"{server} does not {task} ({reply.status_code}: {shortened(' '.join(reply.text.split()), 200)}); {hint}"
        raise EngineFailed(msg)
    return str(reply.text)
