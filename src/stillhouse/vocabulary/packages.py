"""Which packages programs may import."""

from typing import Literal

Libraries = Literal["standard", "scientific"]
"""What programs of the category code may import: the standard library; or also numpy, scipy, sympy, pandas and the like."""
