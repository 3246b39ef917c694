"""After training: does the model end its turn? It is asked a few of its own training questions, greedily."""

from collections.abc import Sequence
from itertools import islice

import torch
from transformers import GenerationConfig, Trainer
from trl.models.utils import unwrap_model_for_generation

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.data.corpus import Corpus

N_ASKED = 16
"""Training questions that are asked: those with the shortest responses."""
SLACK, LEAST_ROOM = 2, 16
"""A response may have so many times the tokens of the one that was learnt, and so many more."""


def require_stops(trainer: Trainer, chat: ChatFormat, corpus: Corpus, most: float) -> dict[str, float]:
    """The share of responses that do not end, as a metric; all ranks ask the same questions.

    Raises EngineFailed if it is larger than ``most``.
    """
    pairs = list(islice(_pairs(corpus), N_ASKED))
    room = max(SLACK * n_learnt + LEAST_ROOM for _, n_learnt in pairs)
    rate = 1 - sum(_stopped(trainer, chat, [prompt for prompt, _ in pairs], room)) / len(pairs)
    if rate > most:
        msg = (
            f"sft: {rate:.0%} of {len(pairs)} responses to training questions did not end within {room} tokens, max_length_rate allows "
            f"{most:.0%}: the model has not learnt {chat.end_token}; train longer or at a higher learning_rate, or look at "
            "`stillhouse inspect`"
        )
        raise EngineFailed(msg)
    return {"length_rate": rate}


def _pairs(corpus: Corpus) -> list[tuple[list[int], int]]:
    """Prompts before the first learnt turn with the length of that turn, shortest turns first."""
    turns = [(corpus.spans(number)[0], number) for number in range(len(corpus))]
    turns.sort(key=lambda turn: (turn[0][1] - turn[0][0], turn[1]))
    return [(corpus[number]["input_ids"][:begin].tolist(), end - begin) for (begin, end), number in turns[:N_ASKED]]


def _stopped(trainer: Trainer, chat: ChatFormat, prompts: Sequence[Sequence[int]], room: int) -> list[bool]:
    """Whether each response ends within ``room`` tokens."""
    pad, longest = int(chat.tokenizer.pad_token_id), max(map(len, prompts))
    device = trainer.accelerator.device
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    stops = trainer.accelerator.unwrap_model(trainer.model).generation_config.eos_token_id
    settings = GenerationConfig(max_new_tokens=room, do_sample=False, pad_token_id=pad, eos_token_id=stops, disable_compile=True)
    was_training = trainer.model.training
    trainer.model.eval()
    with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model, torch.no_grad():
        written = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)[:, longest:]
    trainer.model.train(was_training)
    return torch.isin(written, torch.tensor(stops, device=device)).any(dim=1).tolist()
