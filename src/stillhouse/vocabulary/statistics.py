"""The interval of a share, and the quantile behind it."""

import math

Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def wilson_interval(rate: float, n: int) -> tuple[float, float]:
    """The 95 % interval (low, high) of a share ``rate`` of ``n`` samples (Wilson 1927); (0, 1) without samples."""
    if n == 0:
        return 0.0, 1.0
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))
