"""Proof that the sampler has the trained weights: the same tokens' log-probabilities by trainer and sampler, before every step.

A sampler that kept older weights still writes rollouts, and the run still learns, worse: only such a comparison shows it.
"""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.execution import environment, processes
from stillhouse.training.rl import rollout_server
from stillhouse.training.rl.rollout_prompts import Prompt, tokens
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

PROBED = 4
"""Questions in the probe."""
PROMPT_TOKENS, ANSWER_TOKENS = 256, 4
"""Most tokens of a prompt, its last ones, and of an answer, its first ones, that the probe has."""
FLOOR = 1e-4
"""A mean difference, in nats, that rounding in fp32 explains whatever it was before."""
BOUND = 0.2
"""Largest mean difference, in nats, where ``STILLHOUSE_PROBE_BOUND`` gives no other; the papers give no value. Rounding in bf16
explains a few hundredths."""
ACTIONS = ("stop", "warn")
"""What ``STILLHOUSE_PROBE`` may say to do about a sampler that has not the weights; the first is the default."""

Pair = tuple[list[int], list[int]]
"""A prompt and an answer to it, as tokens."""


def pairs(prompts: Mapping[str, Prompt], tokenizer: Any) -> list[Pair]:
    """The probe: the first prompts by id, and the first tokens of their reference answers in the form that is learnt."""
    made = []
    for _, prompt in islice(sorted(prompts.items()), PROBED):
        answer = f"{THINK}\n{END_THINK}{ANSWER}{prompt.question.reference_answer or ''}{END_ANSWER}"
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        made.append((tokens(tokenizer, prompt.messages)[-PROMPT_TOKENS:], list(ids)[:ANSWER_TOKENS]))
    return made


class Probe:
    """The comparison, and what it must know of earlier ones."""

    def __init__(self, probed: Sequence[Pair]) -> None:
        """Raises BadConfig for a bound or an action in the environment that is none."""
        self._pairs, self._bound = list(probed), environment.number("STILLHOUSE_PROBE_BOUND", BOUND)
        self._action = os.environ.get("STILLHOUSE_PROBE") or ACTIONS[0]
        if self._action not in ACTIONS:
            msg = f"STILLHOUSE_PROBE={self._action}: not one of {', '.join(ACTIONS)}"
            raise BadConfig(msg)
        self._first: float | None = None
        self._start: list[float] = []

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"first": self._first, "start": self._start}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Go on as an earlier try did."""
        self._first, self._start = remembered["first"], remembered["start"]

    def check(self, trainer: Any) -> dict[str, float]:
        """Compare; all ranks. Returns the mean and the largest difference, and how far training moved the probe since the start.

        Raises EngineFailed for weights that are no numbers; unless a warning is all that was asked for, for a mean difference
        beyond the bound too, and for one that only older weights explain: it has grown since the first comparison, when both had
        the same weights, to half of what training moved.
        """
        trained = by_trainer(trainer, self._pairs)
        if not all(map(math.isfinite, trained)):
            msg = f"the weights are no numbers after step {trainer.state.global_step}; lower learning_rate, or look at its rollouts"
            raise EngineFailed(msg)
        sampled = _SAMPLERS[_kind(trainer)](trainer, self._pairs)
        if self._first is None:
            self._start = trained
        moved = _mean([abs(now - before) for now, before in zip(trained, self._start, strict=True)])
        apart = [abs(one - other) for one, other in zip(trained, sampled, strict=True)]
        mean, largest = _over_ranks(trainer, _mean(apart), max(apart))
        if self._first is None:
            self._first = mean
        if not mean <= self._bound or mean > max(FLOOR, 3 * self._first, moved / 2):
            self._differ(
                f"rollouts: the sampler has not the trained weights: log-probabilities of the probe differ by {mean:.3g} in the "
                f"mean ({largest:.3g} at most), at first by {self._first:.3g}; training moved them by {moved:.3g}, the bound is "
                f"{self._bound:g}; look at the sampler's log, or --set engine=transformers"
            )
        return {"sampler/difference_mean": mean, "sampler/difference_max": largest, "sampler/moved": moved}

    def _differ(self, message: str) -> None:
        if self._action == "stop":
            raise EngineFailed(message)
        if processes.rank() == 0:
            print(f"warning: {message}", file=sys.stderr, flush=True)


def by_trainer(trainer: Any, probed: Sequence[Pair]) -> list[float]:
    """Log-probability of every answer's token by the forward pass that training uses."""
    import torch

    longest = max(len(prompt) + len(answer) for prompt, answer in probed)
    padded = [[*prompt, *answer] + [0] * (longest - len(prompt) - len(answer)) for prompt, answer in probed]
    mask = [[1] * (len(prompt) + len(answer)) + [0] * (longest - len(prompt) - len(answer)) for prompt, answer in probed]
    ids, seen = (torch.tensor(each, device=trainer.accelerator.device) for each in (padded, mask))
    was_training = trainer.model.training
    trainer.model.eval()
    with torch.no_grad():
        logits = trainer.model(input_ids=ids, attention_mask=seen, use_cache=False).logits
    trainer.model.train(was_training)
    return [
        each
        for row, (prompt, answer) in zip(logits, probed, strict=True)
        for each in _taken(row[len(prompt) - 1 : len(prompt) + len(answer) - 1], answer)
    ]


def _by_transformers(trainer: Any, probed: Sequence[Pair]) -> list[float]:
    """The same by generation: with cache, a batch padded on the left, one token after the other. The answer is forced on it."""
    import torch
    from transformers import GenerationConfig
    from trl.models.utils import unwrap_model_for_generation

    longest, n_tokens = (max(len(each[place]) for each in probed) for place in (0, 1))
    pad = trainer.processing_class.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt, _ in probed], device=trainer.accelerator.device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt, _ in probed], device=ids.device)
    forced = [answer + [pad] * (n_tokens - len(answer)) for _, answer in probed]
    config = GenerationConfig(
        max_new_tokens=n_tokens, do_sample=False, pad_token_id=pad, output_logits=True, return_dict_in_generate=True,
        disable_compile=True,
    )  # fmt: skip
    with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model, torch.no_grad():
        made = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=config,
            prefix_allowed_tokens_fn=lambda row, written: [forced[row][len(written) - longest]],
        )  # fmt: skip
    logits = torch.stack(made.logits, dim=1)
    return [each for row, (_, answer) in zip(logits, probed, strict=True) for each in _taken(row[: len(answer)], answer)]


def _by_colocated(trainer: Any, probed: Sequence[Pair]) -> list[float]:
    """The same by the vLLM in this process, which reads the answers as part of a prompt."""
    from vllm import SamplingParams

    given = [{"prompt_token_ids": [*prompt, *answer]} for prompt, answer in probed]
    parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    made = trainer.vllm_generation.llm.generate(given, sampling_params=parameters, use_tqdm=False)
    found = []
    for output, (prompt, answer) in zip(made, probed, strict=True):
        said = output.prompt_logprobs[len(prompt) :]
        found += [float(place[token].logprob) for place, token in zip(said, answer, strict=True)]
    return found


def _by_server(trainer: Any, probed: Sequence[Pair]) -> list[float]:
    """The same by a vLLM server; the main process asks for all."""
    from accelerate.utils import broadcast_object_list

    answered = [asked_of_server(trainer.vllm_generation.vllm_client, probed) if trainer.accelerator.is_main_process else None]
    return list(broadcast_object_list(answered)[0])


def asked_of_server(client: Any, probed: Sequence[Pair]) -> list[float]:
    """Log-probability of every answer's token, by a request to vLLM's own completions API. Raises EngineFailed."""
    body = {
        "model": client.model, "prompt": [[*prompt, *answer] for prompt, answer in probed], "max_tokens": 1, "temperature": 0,
        "prompt_logprobs": 0,
    }  # fmt: skip
    reply = rollout_server.ask(client, "v1/completions", body, "score the probe", "scored the probe")
    choices = sorted(json.loads(reply)["choices"], key=lambda choice: int(choice["index"]))
    return [
        float(place[str(token)]["logprob"])
        for choice, (prompt, answer) in zip(choices, probed, strict=True)
        for place, token in zip(choice["prompt_logprobs"][len(prompt) :], answer, strict=True)
    ]


_SAMPLERS = {"transformers": _by_transformers, "colocate": _by_colocated, "server": _by_server}


def _kind(trainer: Any) -> str:
    return str(trainer.args.vllm_mode) if trainer.use_vllm else "transformers"


def _taken(logits: Any, tokens: Sequence[int]) -> list[float]:
    """Log-probability of each token, from logits of shape (tokens, vocabulary)."""
    found = logits.float().log_softmax(-1)
    return [float(found[place, token]) for place, token in enumerate(tokens)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _over_ranks(trainer: Any, mean: float, largest: float) -> tuple[float, float]:
    """The mean and the maximum over all ranks, so that all of them stop, or none."""
    (total,) = processes.combined([mean], trainer.accelerator.device, "sum")
    (most,) = processes.combined([largest], trainer.accelerator.device, "max")
    return total / processes.count(), most
