"""Seeded random numbers that depend on a seed, a purpose and a key alone: one at a time, or a column at a time.

A key's number is the same on every machine and with every version of every library: it comes from SHA-256 and from the finaliser
of splitmix64 over 64-bit integers, not from a hash that a library defines.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

Bits = TypeVar("Bits")

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
"""What splitmix64 adds between two numbers of one stream: 2**64 over the golden ratio, made odd."""
_FACTORS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_MASK = (1 << 64) - 1
_HEX_ID = r"^[0-9a-f]{16}$"
SAMPLE, FEW = 1000, 100
"""A column whose first SAMPLE keys hold at most FEW different ones, such as models or sample indices, is mapped value by value."""


@dataclass(frozen=True)
class Modular64(Generic[Bits]):
    """Arithmetic modulo 2**64 on ints, arrays or tensors."""

    multiply: Callable[[Bits, int], Bits]
    """Multiply by an unsigned 64-bit constant."""
    shift_right: Callable[[Bits, int], Bits]
    """Logical shift: zeros come in from the left."""


_OF_INTS: Modular64[int] = Modular64(lambda bits, factor: bits * factor & _MASK, lambda bits, by: bits >> by)
_OF_ARRAYS: "Modular64[npt.NDArray[np.uint64]]" = Modular64(
    lambda bits, factor: bits * bits.dtype.type(factor), lambda bits, by: bits >> bits.dtype.type(by)
)


def finalised(bits: Any, arithmetic: Modular64[Any]) -> Any:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the result depends on all bits of the argument."""
    for shift, factor in _FACTORS:
        bits = arithmetic.multiply(bits ^ arithmetic.shift_right(bits, shift), factor)
    return bits ^ arithmetic.shift_right(bits, 31)


def row_seed(seed: int, key: Iterable[object]) -> int:
    """The seed of one response, 0 <= seed < 2**62: from its key, so that neither order nor sharding changes it."""
    return _start("/".join(str(part) for part in (seed, *key))) >> 2


def key_number(key: str) -> int:
    """A 64-bit number for a key: the value of sixteen hex digits, as in our ids; for any other key the start of its SHA-256."""
    return int(key, 16) if re.fullmatch(_HEX_ID, key) else _start(key)


def draw(seed: int, purpose: str, *keys: str) -> float:
    """A number in [0, 1), uniform over keys and independent of the numbers of other seeds and purposes."""
    bits = _start(f"{seed}/{purpose}")
    for key in keys:
        bits = finalised(((bits ^ key_number(key)) + GOLDEN_GAMMA) & _MASK, _OF_INTS)
    return (bits >> 11) / (1 << 53)


def draws(seed: int, purpose: str, *keys: "pl.Expr") -> "pl.Expr":
    """``draw`` for columns of keys: strings, or integers that stand for their decimal digits."""
    import polars as pl

    def column(series: Sequence[pl.Series]) -> pl.Series:
        return pl.Series((_mixed_columns(f"{seed}/{purpose}", series) >> 11).astype(float) / (1 << 53))

    return pl.map_batches(list(keys), column, return_dtype=pl.Float64)


def names(purpose: str, keys: Sequence["pl.Series"]) -> "pl.Series":
    """Sixteen hex digits for every row of keys: an id, as ``ids.content_id`` gives one text at a time."""
    import polars as pl

    bits = _mixed_columns(purpose, keys).astype(">u8")
    # Through a view on the bytes: numpy's own byte strings end at the first zero byte.
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(bits), [None, pa.py_buffer(bits.tobytes())])
    return pl.Series(packed.cast(pa.binary())).bin.encode("hex")


def _mixed_columns(start: str, keys: Sequence["pl.Series"]) -> "npt.NDArray[np.uint64]":
    """One number for every row, shape (n_rows,)."""
    import numpy as np

    bits = np.full(len(keys[0]), _start(start), np.uint64)
    for column in keys:
        bits = finalised((bits ^ key_numbers(column)) + np.uint64(GOLDEN_GAMMA), _OF_ARRAYS)
    return bits


def key_numbers(keys: "pl.Series") -> "npt.NDArray[np.uint64]":
    """``key_number`` of every key, shape (n_keys,)."""
    import polars as pl

    if keys.head(SAMPLE).n_unique() <= FEW and (few := keys.unique()).len() <= FEW:
        known = pl.Series([key_number(str(key)) for key in few.to_list()], dtype=pl.UInt64)
        return keys.replace_strict(few, known, return_dtype=pl.UInt64).to_numpy()
    keys = keys.cast(pl.String)
    # Nearly all ids are hex digits and are parsed as a column; the others are hashed one at a time.
    is_hex = keys.str.contains(_HEX_ID)
    numbers = pl.select(pl.when(is_hex).then(keys).str.to_integer(base=16, dtype=pl.UInt64, strict=False)).to_series()
    if not is_hex.all():
        others = keys.filter(~is_hex).unique()
        known = pl.Series([key_number(key) for key in others.to_list()], dtype=pl.UInt64)
        numbers = numbers.fill_null(keys.replace_strict(others, known, default=None, return_dtype=pl.UInt64))
    return numbers.to_numpy()


def _start(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
