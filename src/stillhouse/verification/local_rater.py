"""A reward model in this process: a sequence classifier by transformers, on a GPU if there is one."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from stillhouse.errors import EngineFailed
from stillhouse.models import resolving
from stillhouse.verification.config import RewardModelConfig
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Message


class LocalRater:
    """A ``Rater``. Raises EngineFailed if the model cannot be loaded."""

    def __init__(self, config: RewardModelConfig) -> None:
        self._config = config
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype: Any = "auto" if self._device == "cuda" else torch.float32
        directory = resolving.local(config.model)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                directory, padding_side="right", truncation_side="left", trust_remote_code=False
            )
            self._model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=dtype, trust_remote_code=False)
        except (OSError, ValueError, SafetensorError) as error:
            msg = f"reward model {config.model}: transformers cannot load it: {one_line(error)}; is it a sequence classifier?"
            raise EngineFailed(msg) from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model.eval().to(self._device)

    def rate(self, conversations: Sequence[list[Message]]) -> Iterator[Sequence[float]]:
        """See Rater."""
        for start in range(0, len(conversations), self._config.batch_size):
            texts = [self._text(conversation) for conversation in conversations[start : start + self._config.batch_size]]
            encoded = self._tokenizer(
                texts, return_tensors="pt", padding=True, truncation=True, max_length=self._config.max_length,
                add_special_tokens=False,
            )  # fmt: skip
            with torch.inference_mode():
                logits = self._model(**encoded.to(self._device)).logits
            yield from logits.float().cpu().tolist()

    def _text(self, conversation: list[Message]) -> str:
        if self._tokenizer.chat_template is None:
            return "\n".join(turn["content"] for turn in conversation)
        return str(self._tokenizer.apply_chat_template(conversation, tokenize=False))
