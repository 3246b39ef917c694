"""A batch -> forward passes that fit the device."""

import os


def passes(batch: int) -> tuple[int, int]:
    """Rows to a forward pass, and passes to a batch: their product is the batch on every machine.

    ``STILLHOUSE_MICRO_BATCH`` is the most rows a device can take; the largest divisor of ``batch`` up to it is used.
    """
    most = min(batch, int(os.environ.get("STILLHOUSE_MICRO_BATCH", batch)))
    rows = max((size for size in range(1, most + 1) if batch % size == 0), default=1)
    return rows, batch // rows
