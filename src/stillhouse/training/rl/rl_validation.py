"""What rl measures while it trains: pass@1 on a set of questions, by the rollout engine that is there, with the trained weights."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from transformers import PreTrainedModel
from trl.generation.vllm_client import VLLMClient

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
from stillhouse.training.validation_watch import ValidationWatch
from stillhouse.vocabulary.rows import FinishReason, Question

AT_ONCE = 64
"""Requests to a vLLM server at a time."""


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
    replica, n_replicas, is_counted = _replica(trainer)
    measure = partial(
        validation_set.measure, measured, partial(_engine, trainer, chat), replica, n_replicas, is_counted=is_counted
    )  # fmt: skip
    return ValidationWatch(config.validation, trainer, inputs, measure)


def _replica(trainer: OnPolicyGrpoTrainer) -> tuple[int, int, bool]:
    """Which engine this rank belongs to, how many there are, and whether this rank speaks for its engine.

    The ranks of a colocated vLLM that share a replica make the same requests; a server is asked by all ranks.
    """
    per_replica = trainer.args.vllm_tensor_parallel_size if trainer.use_vllm and trainer.args.vllm_mode == "colocate" else 1
    return processes.rank() // per_replica, processes.count() // per_replica, processes.rank() % per_replica == 0


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
    """The vLLM server."""
    trainer.vllm_generation.sync_weights()
    yield ServedPolicy(trainer.vllm_generation.vllm_client, chat, sampling, _stops(trainer, chat))


def _stops(trainer: OnPolicyGrpoTrainer, chat: ChatFormat) -> list[int]:
    return chat_templates.stop_ids(chat, trainer.accelerator.unwrap_model(trainer.model).generation_config)


class ServedPolicy:
    """A vLLM server with the trained weights, as an ``Engine``: requests by token ids, each with its own seed."""

    def __init__(self, client: VLLMClient, chat: ChatFormat, sampling: Sampling, stops: Sequence[int]) -> None:
        """``stops``: tokens that end a response."""
        self._client, self._chat, self._sampling, self._stops = client, chat, sampling, list(stops)

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """See Engine."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = list(requests)
            yield from zip(asked, pool.map(self._completion, asked), strict=True)

    def _completion(self, request: Request) -> Completion:
        ids = self._chat.ids(self._chat.prompt(request.messages))
        body = {
            "model": self._client.model, "prompt": ids, "max_tokens": self._sampling.max_tokens, "seed": request.seed,
            "temperature": self._sampling.temperature, "top_p": self._sampling.top_p, "stop_token_ids": self._stops,
            "return_token_ids": True,
        }  # fmt: skip
        reply = rollout_server.ask(self._client, "v1/completions", body, "answer questions", "answered questions")
        choice = json.loads(reply)["choices"][0]
        tokens = [token for token in choice["token_ids"] if token not in self._stops]
        reason: FinishReason = "stop" if choice["finish_reason"] == "stop" else "length"
        return Completion(self._chat.read(tokens), reason, len(ids), len(choice["token_ids"]))
