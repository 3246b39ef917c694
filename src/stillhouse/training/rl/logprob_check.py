"""The logprob check: before every step, trainer and rollout engine score the same tokens, to show that both have the same weights.

An engine with older weights still writes rollouts, and the run still learns, only worse: nothing but a comparison shows it.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from transformers import GenerationConfig, PreTrainedTokenizerBase
from trl import GRPOTrainer
from trl.generation.vllm_client import VLLMClient
from trl.models.utils import unwrap_model_for_generation

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.execution import processes
from stillhouse.training.machine import generation
from stillhouse.training.rl import rollout_server
from stillhouse.training.rl.rollout_prompts import RolloutPrompt
from stillhouse.vocabulary import environment
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

N_PAIRS = 4
"""Prompts that are scored, each with its answer."""
PROMPT_TOKENS, ANSWER_TOKENS = 256, 4
"""Most tokens of a prompt (its last ones) and of an answer (its first ones)."""
FLOOR = 1e-4
"""A mean difference, in nats, that rounding in fp32 explains, however small it was before."""
BOUND = 0.2
"""Largest mean difference, in nats, unless ``STILLHOUSE_PROBE_BOUND`` is set; the papers give no value. Rounding in bf16 explains a
few hundredths."""
ACTIONS = ("stop", "warn")
"""What ``STILLHOUSE_PROBE`` may choose for an engine without the trained weights; the first is the default."""

Pair = tuple[list[int], list[int]]
"""A prompt and an answer to it, as token ids."""


def pairs(prompts: Mapping[str, RolloutPrompt], tokenizer: PreTrainedTokenizerBase) -> list[Pair]:
    """What is scored: the first prompts by id, and the first tokens of their reference answers in the format that is learnt."""
    result = []
    for _, prompt in islice(sorted(prompts.items()), N_PAIRS):
        answer = f"{THINK}\n{END_THINK}{ANSWER}{prompt.question.reference_answer or ''}{END_ANSWER}"
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        result.append((prompt.ids[-PROMPT_TOKENS:], list(ids)[:ANSWER_TOKENS]))
    return result


class LogprobCheck:
    """The comparison, and what it must know of earlier ones."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """``pairs``: what is scored. Raises BadConfig for an invalid bound or action in the environment."""
        self._pairs, self._bound = list(pairs), environment.number("STILLHOUSE_PROBE_BOUND", BOUND)
        self._action = environment.text("STILLHOUSE_PROBE", ACTIONS[0])
        if self._action not in ACTIONS:
            msg = f"STILLHOUSE_PROBE={self._action}: not one of {', '.join(ACTIONS)}"
            raise BadConfig(msg)
        self._first: float | None = None
        """Mean difference of the first comparison, when both sides had the same weights."""
        self._start: list[float] = []
        """The trainer's log-probabilities then."""

    def remember(self) -> dict[str, Any]:
        """The first comparison, for a checkpoint."""
        return {"first": self._first, "start": self._start}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Continue from the first comparison of an earlier try."""
        self._first, self._start = remembered["first"], remembered["start"]

    def check(self, trainer: GRPOTrainer) -> dict[str, float]:
        """Compare; all ranks. Returns the mean and largest difference, and how far training moved the log-probabilities, in nats.

        Raises EngineFailed if the weights are not finite. If the action is to stop, it also raises EngineFailed for a mean
        difference beyond the bound, and for one that only older weights explain: it has grown since the first comparison to more
        than half of what training moved.
        """
        trained = by_trainer(trainer, self._pairs)
        if not all(map(math.isfinite, trained)):
            msg = f"the weights are not finite after step {trainer.state.global_step}; lower learning_rate, or look at its rollouts"
            raise EngineFailed(msg)
        scored = _ENGINES[_engine(trainer)](trainer, self._pairs)
        if self._first is None:
            self._start = trained
        moved = _mean([abs(now - before) for now, before in zip(trained, self._start, strict=True)])
        n_engines = len(scored) // len(trained)
        differences = [abs(one - other) for one, other in zip(trained * n_engines, scored, strict=True)]
        mean, largest = _over_ranks(trainer, _mean(differences), max(differences))
        if self._first is None:
            self._first = mean
        if not mean <= self._bound or mean > max(FLOOR, 3 * self._first, moved / 2):
            self._fail(
                f"rollouts: the rollout engine does not have the trained weights: log-probabilities differ by {mean:.3g} in the "
                f"mean ({largest:.3g} at most), at first by {self._first:.3g}; training moved them by {moved:.3g}, the bound is "
                f"{self._bound:g}; look at the engine's log, or --set engine=transformers"
            )
        return {"sampler/difference_mean": mean, "sampler/difference_max": largest, "sampler/moved": moved}

    def _fail(self, message: str) -> None:
        if self._action == "stop":
            raise EngineFailed(message)
        if processes.rank() == 0:
            print(f"warning: {message}", file=sys.stderr, flush=True)


def by_trainer(trainer: GRPOTrainer, pairs: Sequence[Pair]) -> list[float]:
    """Log-probability of every answer token by the forward pass that training uses, one answer after the other."""
    longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
    padded = [[*prompt, *answer] + [0] * (longest - len(prompt) - len(answer)) for prompt, answer in pairs]
    mask = [[1] * (len(prompt) + len(answer)) + [0] * (longest - len(prompt) - len(answer)) for prompt, answer in pairs]
    ids, attention_mask = (torch.tensor(rows, device=trainer.accelerator.device) for rows in (padded, mask))
    was_training = trainer.model.training
    trainer.model.eval()
    with torch.no_grad():
        logits = trainer.model(input_ids=ids, attention_mask=attention_mask, use_cache=False).logits
    trainer.model.train(was_training)
    return [
        logprob
        for row, (prompt, answer) in zip(logits, pairs, strict=True)
        for logprob in _logprobs(row[len(prompt) - 1 : len(prompt) + len(answer) - 1], answer)
    ]


def _by_transformers(trainer: GRPOTrainer, pairs: Sequence[Pair]) -> list[float]:
    """The same by generation: left-padded batch, cache, token by token. The answers are forced."""
    longest, n_tokens = (max(len(pair[part]) for pair in pairs) for part in (0, 1))
    pad = trainer.processing_class.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt, _ in pairs], device=trainer.accelerator.device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt, _ in pairs], device=ids.device)
    forced = [answer + [pad] * (n_tokens - len(answer)) for _, answer in pairs]
    config = GenerationConfig(
        max_new_tokens=n_tokens, do_sample=False, pad_token_id=pad, output_logits=True, return_dict_in_generate=True,
        disable_compile=True,
    )  # fmt: skip
    unwrapped = unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator)
    with unwrapped as model, generation.suited(model), generation.cast_once(trainer.accelerator), torch.no_grad():
        output = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=config,
            prefix_allowed_tokens_fn=lambda row, written: [forced[row][len(written) - longest]],
        )  # fmt: skip
    logits = torch.stack(output.logits, dim=1)
    return [
        logprob
        for row, (_, answer) in zip(logits, pairs, strict=True)
        for logprob in _logprobs(row[: len(answer)], answer)
    ]  # fmt: skip


def _by_colocated_vllm(trainer: GRPOTrainer, pairs: Sequence[Pair]) -> list[float]:
    """The same by the vLLM in this process, which reads the answers as part of a prompt."""
    from vllm import SamplingParams  # installed only where vLLM runs

    if trainer.args.vllm_enable_sleep_mode:
        trainer.vllm_generation.llm.wake_up(tags=["kv_cache"])  # the sync woke the weights alone
    prompts = [{"prompt_token_ids": [*prompt, *answer]} for prompt, answer in pairs]
    parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    outputs = trainer.vllm_generation.llm.generate(prompts, sampling_params=parameters, use_tqdm=False)
    return [
        float(by_token[token].logprob)
        for output, (prompt, answer) in zip(outputs, pairs, strict=True)
        for by_token, token in zip(output.prompt_logprobs[len(prompt) :], answer, strict=True)
    ]


def _by_vllm_server(trainer: GRPOTrainer, pairs: Sequence[Pair]) -> list[float]:
    """The same by every vLLM server, one after the other; the main process asks for all."""
    logprobs: list[list[float]] = [[]]
    if trainer.accelerator.is_main_process:
        answers = trainer.vllm_generation.vllm_client.of_each(lambda client: by_server(client, pairs))
        logprobs = [list(chain.from_iterable(answers))]
    return list(broadcast_object_list(logprobs)[0])


def by_server(client: VLLMClient, pairs: Sequence[Pair]) -> list[float]:
    """Log-probability of every answer token by one request to vLLM's own completions API. Raises EngineFailed."""
    body = {
        "model": client.model, "prompt": [[*prompt, *answer] for prompt, answer in pairs], "max_tokens": 1, "temperature": 0,
        "prompt_logprobs": 0,
    }  # fmt: skip
    reply = rollout_server.ask(client, "v1/completions", body, "score tokens", "scored tokens")
    choices = sorted(json.loads(reply)["choices"], key=lambda choice: int(choice["index"]))
    return [
        float(by_token[str(token)]["logprob"])
        for choice, (prompt, answer) in zip(choices, pairs, strict=True)
        for by_token, token in zip(choice["prompt_logprobs"][len(prompt) :], answer, strict=True)
    ]


_ENGINES = {"transformers": _by_transformers, "colocate": _by_colocated_vllm, "server": _by_vllm_server}


def _engine(trainer: GRPOTrainer) -> str:
    return str(trainer.args.vllm_mode) if trainer.use_vllm else "transformers"


def _logprobs(logits: torch.Tensor, tokens: Sequence[int]) -> list[float]:
    """Log-probability of each token, from logits of shape (tokens, vocabulary)."""
    logprobs = logits.float().log_softmax(-1)
    return [float(logprobs[position, token]) for position, token in enumerate(tokens)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _over_ranks(trainer: GRPOTrainer, mean: float, largest: float) -> tuple[float, float]:
    """The mean and the maximum over all ranks, so that either all of them stop or none."""
    (total,) = processes.combined([mean], trainer.accelerator.device, "sum")
    (most,) = processes.combined([largest], trainer.accelerator.device, "max")
    return total / processes.count(), most
