"""What a vLLM server that writes rollouts is asked beside them, by TRL's client."""

from typing import Any

from stillhouse.errors import EngineFailed, one_line


def ask(client: Any, route: str, body: dict[str, Any], task: str, doing: str) -> str:
    """The text that the server answers a request with. ``task`` says what it is asked to do, ``doing`` that it was at it.

    Raises EngineFailed where it is gone or refuses.
    """
    who = f"rollouts: the vLLM server at {client.base_url}"
    try:
        reply = client.session.post(f"{client.base_url}/{route}", json=body)
    except OSError as error:
        msg = f"{who} failed while it {doing}: {one_line(error)}; look at its log"
        raise EngineFailed(msg) from error
    if reply.status_code != 200:
        # All but OpenAI's routes are vLLM's development routes.
        absent = reply.status_code == 404 and not route.startswith("v1/")
        hint = "start it with VLLM_SERVER_DEV_MODE=1" if absent else "look at its log"
        msg = f"{who} does not {task} ({reply.status_code}: {' '.join(reply.text[:200].split())}); {hint}"
        raise EngineFailed(msg)
    return str(reply.text)
