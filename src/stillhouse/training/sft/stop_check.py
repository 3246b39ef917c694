"""After training: does the model end its turn? It is asked a few of its own training questions, greedily."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, Trainer
from trl.models.utils import unwrap_model_for_generation

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.data.corpus import Corpus
from stillhouse.training.machine import generation

N_ASKED = 16
"""Training questions that are asked: those of the shortest examples."""
SLACK, LEAST_ROOM = 2, 16
"""A response may have so many times the tokens of the one that was learnt, and so many more."""


def require_stops(trainer: Trainer, chat: ChatFormat, corpus: Corpus, most: float) -> dict[str, float]:
    """The share of responses that do not end, as a metric; all ranks ask the same questions.

    Raises EngineFailed if it is larger than ``most``.
    """
    shortest = corpus.lengths.argsort(kind="stable")[:N_ASKED].tolist()
    prompts = [corpus[number]["input_ids"][: corpus.spans(number)[0][0]].tolist() for number in shortest]
    room = SLACK * max(end - begin for number in shortest for begin, end in corpus.spans(number)[:1]) + LEAST_ROOM
    rate = 1 - sum(_ended(trainer, chat, prompts, room)) / len(prompts)
    if rate > most:
        msg = (
            f"sft: {rate:.0%} of {len(prompts)} responses to training questions did not end within {room} tokens, max_length_rate "
            f"allows {most:.0%}: the model has not learnt to write {chat.end_token}; train longer or at a higher learning_rate, or "
            "look at `stillhouse inspect`"
        )
        raise EngineFailed(msg)
    return {"length_rate": rate}


def _ended(trainer: Trainer, chat: ChatFormat, prompts: Sequence[Sequence[int]], room: int) -> list[bool]:
    """Whether each response ends within ``room`` tokens."""
    pad, longest = int(chat.tokenizer.pad_token_id), max(map(len, prompts))
    device = trainer.accelerator.device
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    stops = trainer.accelerator.unwrap_model(trainer.model).generation_config.eos_token_id
    settings = GenerationConfig(max_new_tokens=room, do_sample=False, pad_token_id=pad, eos_token_id=stops, disable_compile=True)
    was_training = trainer.model.training
    trainer.model.eval()
    unwrapped = unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator)
    with unwrapped as model, generation.suited(model), torch.no_grad():
        written = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)[:, longest:]
    trainer.model.train(was_training)
    ended = torch.isin(written, torch.tensor(stops, device=device)).any(dim=1)
    return [bool(value) for value in ended.tolist()]
