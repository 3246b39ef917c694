"""Packing: how full packs of 32,768 tokens are and how many examples a second are placed, against TRL's own packing.

Lengths are drawn like those of DeepDistill's Stage I (19,233M answer tokens in 5.4M examples, 3.5k each, most of them shorter, none
beyond 32k). Times are of CPU, on one core, so that a busy machine changes them little.
"""

import time

from tests.perf.measure import peak_gib, table

SIZE = 32_768
MEDIAN, SPREAD, SHORTEST = 2200, 1.0, 16
PEER_EXAMPLES, EXAMPLES = 50_000, 5_436_090
"""TRL is slower, and its speed hardly depends on how many there are; Stage I has five million."""
AIM, FULL = 400_000, 0.999


def main() -> None:
    few = one_byte_tokens(lengths(PEER_EXAMPLES))
    made = [
        measured("TRL bfd, as its trainer calls it", few, by_trl),
        measured("TRL bfd, on all examples at once", few, by_trl_at_once),
        placed("stillhouse: places, tokens are fetched in training", lengths(PEER_EXAMPLES)),
        placed("stillhouse: places, tokens are fetched in training", lengths(EXAMPLES)),
    ]
    fastest = max(each[2] for each in made[:2])
    table(
        ("packing", "examples", "examples/s", "full, %", f"of the aim ({AIM:,}/s)", "of TRL's best"),
        [(*each[:3], 100 * each[3], each[2] / AIM, each[2] / fastest) for each in made],
    )
    print(f"  peak memory {peak_gib():.1f} GiB; at least {100 * FULL:g} % full: {all(each[3] >= FULL for each in made[2:])}")


def lengths(n: int):
    import numpy as np

    return np.random.default_rng(0).lognormal(np.log(MEDIAN), SPREAD, n).clip(SHORTEST, SIZE).astype(np.int64)


def one_byte_tokens(given):
    """A column of examples: tokens of one byte, so that copying them, the same for all, weighs little."""
    import numpy as np
    import pyarrow as pa

    ends = np.concatenate(([0], np.cumsum(given)))
    return pa.table({"input_ids": pa.LargeListArray.from_arrays(ends, pa.array(np.zeros(ends[-1], np.int8)))})


def by_trl(examples):
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    return pack_dataset(datasets.Dataset(examples), SIZE, "bfd").data.table


def by_trl_at_once(examples):
    from trl.data_utils import _pack_bfd

    return _pack_bfd(examples, SIZE)


def measured(name, examples, pack):
    """Name, examples, examples a second, and the share of the packs' room that is filled."""
    begun = time.process_time()
    made = pack(examples)
    seconds = time.process_time() - begun
    n_tokens = len(examples.column("input_ids").combine_chunks().flatten())
    return name, len(examples), len(examples) / seconds, n_tokens / (len(made) * SIZE)


def placed(name, given):
    from stillhouse.training.data.packing import packs

    begun = time.process_time()
    pack_of = packs(given, SIZE)
    seconds = time.process_time() - begun
    return name, len(given), len(given) / seconds, float(given.sum()) / ((int(pack_of.max()) + 1) * SIZE)
