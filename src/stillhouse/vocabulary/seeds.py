"""Seeded draws: uniform numbers that depend on a seed, a purpose and a key alone, one at a time or a column at a time.

A key's number is the same on every machine and with every version of every library: the finaliser of splitmix64 over 64-bit
integers, nothing that a library calls its hash.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_MASK = (1 << 64) - 1
_GOLDEN, _FACTORS = 0x9E3779B97F4A7C15, ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_HEX_ID = r"^[0-9a-f]{16}$"
SAMPLE, FEW = 1000, 100
"""Keys that are looked at to see whether few different ones are there, as of models and of sample indices, and how many are few."""


def key_number(key: str) -> int:
    """A 64-bit number for a key: what its sixteen hex digits say, as ids of ours have them, else the start of its SHA-256."""
    return int(key, 16) if re.fullmatch(_HEX_ID, key) else _start(key)


def draw(seed: int, purpose: str, *keys: str) -> float:
    """A number in [0, 1), uniform over keys; other seeds and other purposes give numbers that have nothing to do with it."""
    bits = _start(f"{seed}/{purpose}")
    for key in keys:
        bits = _mixed(bits ^ key_number(key))
    return (bits >> 11) / (1 << 53)


def draws(seed: int, purpose: str, *keys: "pl.Expr") -> "pl.Expr":
    """``draw`` for columns of keys: strings, or integers that stand for their decimal digits."""
    import polars as pl

    def column(series: Sequence[pl.Series]) -> pl.Series:
        return pl.Series((_all_mixed(f"{seed}/{purpose}", series) >> 11).astype(float) / (1 << 53))

    return pl.map_batches(list(keys), column, return_dtype=pl.Float64)


def names(purpose: str, keys: Sequence["pl.Series"]) -> "pl.Series":
    """Sixteen hex digits to every row of keys: an id, as ``identity.content_id`` gives one text at a time."""
    import polars as pl

    bits = _all_mixed(purpose, keys).astype(">u8")
    # Through a view on the bytes: numpy's own byte strings end at the first zero byte.
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(bits), [None, pa.py_buffer(bits.tobytes())])
    return pl.Series(packed.cast(pa.binary())).bin.encode("hex")


def _all_mixed(start: str, keys: Sequence["pl.Series"]) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    import numpy as np

    bits: Any = np.full(len(keys[0]), _start(start), np.uint64)
    for each in keys:
        bits = _mixed(bits ^ key_numbers(each))
    return bits  # type: ignore[no-any-return]


def key_numbers(keys: "pl.Series") -> "np.ndarray[Any, np.dtype[np.uint64]]":
    """``key_number`` of every key."""
    import polars as pl

    if keys.head(SAMPLE).n_unique() <= FEW and (few := keys.unique()).len() <= FEW:
        known = pl.Series([key_number(str(each)) for each in few.to_list()], dtype=pl.UInt64)
        return keys.replace_strict(few, known, return_dtype=pl.UInt64).to_numpy()
    keys = keys.cast(pl.String)
    # Nearly all ids are hex digits and are read in one go; the others few at a time.
    is_hex = keys.str.contains(_HEX_ID)
    numbers = pl.select(pl.when(is_hex).then(keys).str.to_integer(base=16, dtype=pl.UInt64, strict=False)).to_series()
    if not is_hex.all():
        others = keys.filter(~is_hex).unique()
        known = pl.Series([key_number(each) for each in others.to_list()], dtype=pl.UInt64)
        numbers = numbers.fill_null(keys.replace_strict(others, known, default=None, return_dtype=pl.UInt64))
    return numbers.to_numpy()


def _start(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _mixed(bits: Any) -> Any:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), for an int or an array of uint64, which wraps by itself."""
    number = int if isinstance(bits, int) else bits.dtype.type
    bits = (bits + number(_GOLDEN)) & number(_MASK)
    for shift, factor in _FACTORS:
        bits = ((bits ^ (bits >> number(shift))) * number(factor)) & number(_MASK)
    return bits ^ (bits >> number(31))
