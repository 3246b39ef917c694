"""The vLLM servers that write one training's rollouts: they share a step's questions, and a server that is lost is left out.

Every request has a time limit, ``STILLHOUSE_ROLLOUT_TIMEOUT_S``. A server that fails is left out, and the others write its share.
Before the next step's weights are synced it is asked again: once it answers, it gets the weights and takes its share as before.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from trl.generation.vllm_client import VLLMClient

from stillhouse.errors import EngineFailed, EngineLost, StillhouseError
from stillhouse.training.rl import rollout_server, weight_sync
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.masking import one_line

if TYPE_CHECKING:
    from stillhouse.training.rl.rollouts_ahead import RolloutsAhead

T = TypeVar("T")

TIMEOUT_S = 3600.0
"""To a server's whole answer, unless ``STILLHOUSE_ROLLOUT_TIMEOUT_S`` is set: it writes its share of a step in one request."""
CONNECT_S = 10.0
"""To a connection."""
LOGPROBS_MODE = "processed_logprobs"
"""What a server has to return: log-probabilities at the rollouts' temperature."""
POLL_S = 1.0
"""Between two questions whether a server is up."""


def addresses() -> list[str]:
    """The servers' base URLs; empty if vLLM runs in the trainer's process."""
    return [address.strip().rstrip("/") for address in environment.text("STILLHOUSE_ROLLOUT_SERVER").split(",") if address.strip()]


class LimitedAdapter(HTTPAdapter):
    """Sends every request with a time limit, and once: a repeated request would have rollouts written twice."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: to the whole answer."""
        self._timeout_s = timeout_s
        super().__init__()

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """The answer to a request."""
        return super().send(request, **(kwargs | {"timeout": (CONNECT_S, self._timeout_s)}))


class RolloutClient(VLLMClient):
    """TRL's client of a vLLM server, with a limit to every request, and errors of one line."""

    def __init__(self, **arguments: Any) -> None:
        """Raises EngineLost if the server cannot be reached."""
        with client_errors(f"its server {arguments.get('base_url')} is not reached", EngineLost):
            super().__init__(**arguments)

    def check_server(self, total_timeout: float = 0.0, retry_interval: float = POLL_S) -> None:
        """Wait until the server is up, ``total_timeout`` seconds at most. Raises ConnectionError."""
        limited = LimitedAdapter(environment.number("STILLHOUSE_ROLLOUT_TIMEOUT_S", TIMEOUT_S))
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, limited)
        deadline = time.monotonic() + total_timeout
        while not self.is_up():
            if time.monotonic() >= deadline:
                msg = f"no answer within {total_timeout:g} s"
                raise ConnectionError(msg)
            time.sleep(retry_interval)

    def is_up(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(self.session.get(f"{self.base_url}/health").status_code == 200)
        except RequestException:
            return False

    def init_communicator(self, **arguments: Any) -> None:
        """Meet the server to sync weights, unless they go through a directory. Raises EngineFailed."""
        if weight_sync.directory() is None:
            with client_errors("its server and the trainer do not meet to sync weights"):
                super().init_communicator(**arguments)

    def get_server_info(self) -> dict[str, Any]:
        """How the server was started. Raises EngineFailed."""
        with client_errors("its server does not say how it was started"):
            return dict(super().get_server_info())


class RolloutServers:
    """Several servers, as TRL sees one: weights go to all of them, a step's questions are divided."""

    ahead: "RolloutsAhead | None" = None
    """Writes the next step's rollouts during the update, if the config asks for it."""

    def __init__(self, base_url: str, **arguments: Any) -> None:
        """``base_url``: the servers' addresses, by commas. ``arguments``: ``VLLMClient``'s. Raises EngineLost if one is not up."""
        self.clients = [RolloutClient(base_url=address, **arguments) for address in base_url.split(",")]
        self._lost: dict[RolloutClient, StillhouseError] = {}

    @property
    def model(self) -> str:
        """The name under which the servers serve the model."""
        return str(self.clients[0].model)

    def init_communicator(self, **arguments: Any) -> None:
        """Meet the servers to sync weights. Raises EngineFailed."""
        for client in self.clients:
            client.init_communicator(**arguments)

    def get_server_info(self) -> dict[str, Any]:
        """How the servers were started: one that TRL would refuse, if there is one. Raises EngineFailed."""
        infos = [client.get_server_info() for client in self.clients]
        return next((info for info in infos if info["model_config"]["logprobs_mode"] != LOGPROBS_MODE), infos[0])

    def update_named_params(self, metadata: Sequence[Any], weights: Iterator[tuple[str, torch.Tensor]]) -> None:
        """Send the weights by NCCL, to the only server: several get theirs through a directory. Raises EngineLost."""
        if self.ahead:
            self.ahead.wait()
        with client_errors("its server did not take the weights", EngineLost):
            self.clients[0].update_named_params(metadata, weights)

    def reset_prefix_cache(self) -> None:
        """Have every server forget what it computed with older weights. Raises EngineLost if none is left."""
        self.of_each(lambda client: rollout_server.ask(client, "reset_prefix_cache", {}, "take weights", "took the weights"))

    def readmit(self) -> None:
        """Take back the servers that answer again; called before weights are synced, which they have missed."""
        if self.ahead:
            self.ahead.wait()
        for client in [client for client in self._lost if client.is_up()]:
            del self._lost[client]
            _say(f"the vLLM server at {client.base_url} is back and takes its share again")

    def of_each(self, ask: Callable[[RolloutClient], T]) -> list[T]:
        """The answer of every server; one that fails is lost. Raises EngineLost if none is left."""
        answers = []
        for client in self._present():
            try:
                answers.append(ask(client))
            except StillhouseError as error:
                self._lose(client, error)
        return answers

    def of_any(self, number: int, ask: Callable[[RolloutClient], T]) -> T:
        """The answer of one server: requests by number go round; another one stands in for one that fails, which is lost.

        Raises EngineLost if none is left.
        """
        while True:
            present = self._present()
            client = present[number % len(present)]
            try:
                return ask(client)
            except StillhouseError as error:
                self._lose(client, error)

    def generate(self, prompts: Sequence[Sequence[int]], n: int = 1, **arguments: Any) -> dict[str, Any]:
        """Rollouts, ``n`` to each prompt, in the order of the prompts. Raises EngineLost if no server is left."""
        if self.ahead:
            return self.ahead.rollouts(prompts, lambda some: self._written(some, n, arguments))
        return self._written(prompts, n, arguments)

    def _written(self, prompts: Sequence[Sequence[int]], n: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The rollouts, by whichever servers are left."""
        replies: dict[int, dict[str, Any]] = {}
        waiting = list(range(len(prompts)))
        while waiting:
            shares = _shares(waiting, self._present())
            with ThreadPoolExecutor(len(shares)) as threads:
                written = threads.map(lambda share: _write(share[0], [prompts[at] for at in share[1]], n, arguments), shares)
                for (client, positions), reply in zip(shares, written, strict=True):
                    if isinstance(reply, StillhouseError):
                        self._lose(client, reply)
                    else:
                        replies |= dict(zip(positions, reply, strict=True))
            waiting = [position for position in waiting if position not in replies]
        return joined([replies[position] for position in range(len(prompts))])

    def _present(self) -> list[RolloutClient]:
        present = [client for client in self.clients if client not in self._lost]
        if not present:
            errors = self._lost.values()
            if not any(isinstance(error, EngineLost) for error in errors):
                raise next(iter(errors))  # they all refuse, and would again
            reasons = "; ".join(map(one_line, errors))
            msg = f"engine vllm: no server is left ({reasons}); look at their logs, the next try goes on from the last checkpoint"
            raise EngineLost(msg)
        return present

    def _lose(self, client: RolloutClient, error: StillhouseError) -> None:
        self._lost[client] = error
        if len(self._lost) < len(self.clients):
            _say(f"warning: {one_line(error)}; the other servers write its share")


def _shares(positions: Sequence[int], clients: Sequence[RolloutClient]) -> list[tuple[RolloutClient, list[int]]]:
    """The positions divided over the servers, in order, as evenly as can be; none is empty."""
    borders = [len(positions) * number // len(clients) for number in range(len(clients) + 1)]
    shares = [list(positions[begin:end]) for begin, end in pairwise(borders)]
    return [(client, share) for client, share in zip(clients, shares, strict=True) if share]


def _write(
    client: RolloutClient, prompts: Sequence[Sequence[int]], n: int, arguments: Mapping[str, Any]
) -> list[dict[str, Any]] | StillhouseError:
    """One server's rollouts, taken apart by prompt, or what went wrong."""
    try:
        with client_errors(f"its server {client.base_url} did not write rollouts", EngineLost):
            reply = client.generate(prompts=prompts, n=n, **arguments)
            if len(reply["prompt_ids"]) != len(prompts) or len(reply["completion_ids"]) != n * len(prompts):
                msg = f"{len(reply['completion_ids'])} rollouts came back, {n * len(prompts)} were asked for"
                raise ValueError(msg)
            if reply["logprobs"] is None:
                msg = "no log-probabilities came back"
                raise ValueError(msg)
            return by_prompt(reply, n)
    except StillhouseError as error:
        return error


def by_prompt(reply: Mapping[str, Any], n: int) -> list[dict[str, Any]]:
    """A server's reply, taken apart by prompt: one list of prompt tokens, and ``n`` rollouts."""
    return [
        {name: values[number : number + 1] if name == "prompt_ids" else values[number * n : (number + 1) * n]
         for name, values in reply.items()}
        for number in range(len(reply["prompt_ids"]))
    ]  # fmt: skip


def joined(replies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several replies as one, in their order."""
    return {name: [value for reply in replies for value in reply[name]] for name in replies[0]}


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


@contextmanager
def client_errors(problem: str, kind: type[EngineFailed] = EngineFailed) -> Iterator[None]:
    """Turn whatever TRL's client raises into one error of this kind."""
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:  # TRL raises no narrower class for a server's refusal
        msg = f"engine vllm: {problem}: {one_line(error)}"
        raise kind(msg) from error
