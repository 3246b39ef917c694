"""What rl measures while it trains: pass@1 on a set of questions, by the rollout engine that is there, with the trained weights."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from transformers import PreTrainedModel

from stillhouse.errors import BadConfig
from stillhouse.execution import processes
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Engine, Request
from stillhouse.sampling.vllm import RunningVllm
from stillhouse.training import in_training, validation_set
from stillhouse.training.rl import rollout_server
from stillhouse.training.rl.config import RlConfig, RlInputs
from stillhouse.training.rl.on_policy import OnPolicyGrpoTrainer
from stillhouse.training.rl.rollout_servers import RolloutServers
from stillhouse.training.validation_watch import ValidationWatch
from stillhouse.vocabulary.rows import FinishReason, Question

AT_ONCE = 64
"""Requests to the vLLM servers at a time."""


def questions(config: RlConfig, inputs: RlInputs, trained: Collection[str]) -> list[Question]:
    """The questions to ask, before the model loads; all ranks. ``trained``: ids of the questions that the stage may ask.

    Raises BadConfig or NothingToDo if what the config asks for cannot be measured, or would be measured on what is trained on.
    """
    settings = config.validation
    if settings is None:
        if inputs.validation_questions:
            msg = f"rl: --input {validation_set.INPUT} is given, and the config measures nothing; set validation.every, such as 50"
            raise BadConfig(msg)
        return []
    if config.keep_optimizer and settings.keep == "best":
        msg = "keep_optimizer keeps the state of the last step, and validation.keep is best: set it to last, or the other to false"
        raise BadConfig(msg)
    asked = processes.from_leader(lambda: validation_set.chosen(settings, inputs.validation_questions, config.seed))
    validation_set.require_sense(settings, asked, has_rows=False)
    source = f"the questions of split {config.split!r}"
    validation_set.refuse_trained([question.question_id for question in asked], trained, source)
    return asked


def watch(
    config: RlConfig, inputs: RlInputs, trainer: OnPolicyGrpoTrainer, chat: ChatFormat, asked: Sequence[Question]
) -> ValidationWatch | None:
    """What measures the policy between its steps; None if nothing is measured."""
    if config.validation is None:
        return None
    model: PreTrainedModel = trainer.accelerator.unwrap_model(trainer.model)
    measured = validation_set.made(config, asked, chat, model, config.max_tokens)
    share, is_counted = _share(trainer)
    measure = partial(validation_set.measure, measured, partial(_engine, trainer, chat), share, is_counted=is_counted)
    return ValidationWatch(config.validation, trainer, inputs, measure)


def _share(trainer: OnPolicyGrpoTrainer) -> tuple[slice, bool]:
    """Which of the questions this rank has its engine answer, and whether this rank speaks for that engine.

    The ranks of a colocated vLLM that share a replica make the same requests; the servers are asked by rank 0 alone.
    """
    if not trainer.use_vllm:
        return in_training.share()
    if trainer.args.vllm_mode == "server":
        return slice(None if processes.rank() == 0 else 0), processes.rank() == 0
    per_replica = trainer.args.vllm_tensor_parallel_size
    replicas = slice(processes.rank() // per_replica, None, processes.count() // per_replica)
    return replicas, processes.rank() % per_replica == 0


def _engine(trainer: OnPolicyGrpoTrainer, chat: ChatFormat, sampling: Sampling) -> AbstractContextManager[Engine]:
    if not trainer.use_vllm:
        return in_training.engine(trainer, chat, sampling)
    return (_colocated if trainer.args.vllm_mode == "colocate" else _served)(trainer, chat, sampling)


@contextmanager
def _colocated(trainer: OnPolicyGrpoTrainer, chat: ChatFormat, sampling: Sampling) -> Iterator[Engine]:
    """The vLLM in this process. The next step syncs its weights again: this sync is not part of a step."""
    generation = trainer.vllm_generation
    generation.sync_weights()
    sleeps = bool(generation.enable_sleep_mode)
    if sleeps:
        generation.llm.wake_up(tags=["kv_cache"])
    yield RunningVllm(generation.llm, chat, sampling, _stops(trainer, chat))
    if sleeps:
        generation.llm.sleep(level=2)
        generation._llm_weights_sleeping = True


@contextmanager
def _served(trainer: OnPolicyGrpoTrainer, chat: ChatFormat, sampling: Sampling) -> Iterator[Engine]:
    """The vLLM servers, whose client rank 0 has; the other ranks ask for nothing."""
    trainer.vllm_generation.sync_weights()
    servers: Any = getattr(trainer.vllm_generation, "vllm_client", None)
    yield ServedPolicy(servers, chat, sampling, _stops(trainer, chat))


def _stops(trainer: OnPolicyGrpoTrainer, chat: ChatFormat) -> list[int]:
    return chat_templates.stop_ids(chat, trainer.accelerator.unwrap_model(trainer.model).generation_config)


class ServedPolicy:
    """The vLLM servers with the trained weights, as an ``Engine``: requests by token ids, each with its own seed."""

    def __init__(self, servers: RolloutServers, chat: ChatFormat, sampling: Sampling, stops: Sequence[int]) -> None:
        """``stops``: tokens that end a response."""
        self._servers, self._chat, self._sampling, self._stops = servers, chat, sampling, list(stops)

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine."""
        asked = list(requests)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(asked, pool.map(self._completion, range(len(asked)), asked), strict=True)

    def _completion(self, number: int, request: Request) -> Completion:
        ids = self._chat.ids(self._chat.prompt(request.messages))
        body = {
            "model": self._servers.model, "prompt": ids, "max_tokens": self._sampling.max_tokens, "seed": request.seed,
            "temperature": self._sampling.temperature, "top_p": self._sampling.top_p, "stop_token_ids": self._stops,
            "return_token_ids": True,
        }  # fmt: skip
        reply = self._servers.of_any(
            number, lambda client: rollout_server.ask(client, "v1/completions", body, "answer questions", "answered questions")
        )
        choice = json.loads(reply)["choices"][0]
        tokens = [token for token in choice["token_ids"] if token not in self._stops]
        reason: FinishReason = "stop" if choice["finish_reason"] == "stop" else "length"
        return Completion(self._chat.read(tokens), reason, len(ids), len(choice["token_ids"]))
