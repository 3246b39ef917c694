"""Flex attention that is right at every length: sequences are padded to whole blocks of its mask, and cut again.

With fewer than 128 queries torch lowers flex attention on a GPU to another kernel, made for decoding
(``torch._inductor.kernel.flex.flex_decoding._use_flex_decoding``). There sequences of 27 to 83 tokens came out wrong by 0.8
deviations of their logits, on torch 2.11 and one H100. A padded sequence has at least 128 queries and never meets that kernel, nor
the branches for lengths that are no multiple of 128, whose gradients can be NaN (pytorch/pytorch#153799).

Padding changes no number: keys that are not in the sequence are masked, and queries that are not in it are cut off.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import pad
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function, flex_attention_mask

NAME = "flex_attention"
"""The name in transformers under which the padded version replaces the original."""
BLOCK = 128
"""Queries, and keys, in a block of torch's masks; also the least queries of its main kernel."""

MaskFunction = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of batch, head, query and key: whether the query may attend to the key."""


def install() -> None:
    """Have every model of this process whose backend is flex attention use the padded version."""
    AttentionInterface.register(NAME, padded_attention)
    AttentionMaskInterface.register(NAME, padded_mask)


def padded_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: MaskFunction = causal_mask_function,
    attention_mask: torch.Tensor | None = None,
    device: torch.device | str = "cpu",
    **_: Any,
) -> BlockMask:
    """The block mask of the padded sequence; the arguments are those of transformers' own.

    ``attention_mask``: shape (batch, keys), 0 where a key is padding.
    """
    last_query = torch.tensor(q_offset + q_length - 1, device=device)  # tensors: a number would be compiled in
    last_key = torch.tensor(kv_offset + kv_length - 1, device=device)

    def inside(batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        allowed: torch.Tensor = mask_function(batch, head, torch.minimum(query, last_query), torch.minimum(key, last_key))
        return allowed & (key <= last_key)

    return flex_attention_mask(
        batch_size, whole_blocks(q_length), whole_blocks(kv_length), q_offset, kv_offset, inside, attention_mask, device
    )


def padded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | BlockMask | None,
    **arguments: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """transformers' flex attention of the padded sequence, cut to its length.

    ``query``: shape (batch, heads, queries, head size); ``key`` and ``value``: (batch, key heads, keys, head size). Under autocast
    all three are cast to its dtype, as before a flash kernel. Returns the output, shape (batch, queries, heads, head size), and the
    log-sum-exp of the scores, (batch, heads, queries), if the device gives it.
    """
    if not isinstance(attention_mask, BlockMask):
        output: tuple[torch.Tensor, torch.Tensor | None] = flex_attention_forward(
            module, query, key, value, attention_mask, **arguments
        )
        return output
    length, device = query.shape[2], query.device.type
    if torch.is_autocast_enabled(device):
        query, key, value = (tensor.to(torch.get_autocast_dtype(device)) for tensor in (query, key, value))
    query, key, value = (pad(tensor, (0, 0, 0, whole_blocks(tensor.shape[2]) - tensor.shape[2])) for tensor in (query, key, value))
    attended, scores = flex_attention_forward(module, query, key, value, attention_mask, **arguments)
    return attended[:, :length], None if scores is None else scores[:, :, :length]


def whole_blocks(length: int) -> int:
    """The length, rounded up to whole blocks."""
    return -(-length // BLOCK) * BLOCK
