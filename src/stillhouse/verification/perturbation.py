r"""A reference with one part changed, for each part: answers that must not pass. One that passes shows a reference read in part."""

import re
from collections.abc import Iterator

MOST = 8
"""Perturbations of one reference: of a long list, parts from everywhere."""

_NUMERAL = re.compile(r"\d+(?:\.\d+)?")
_CALLS_FOR_BRACES = re.compile(r"\\(?:[dt]?frac|sqrt|binom)$|\}$")
_ZEROTH_POWER = re.compile(r" ?\}? ?\^ ?(?:0(?![\d.])|\{ ?0 ?\})")
_SIGNS = {"\\leq": "<", "\\le ": "<", "\\geq": ">", "\\ge ": ">", "<": "\\ge ", ">": "\\le ", "\\neq": "="}


def perturbed(reference: str) -> list[str]:
    """At most MOST texts with another value than the reference: a numeral, a comparison sign or a member of a list is changed."""
    texts = list(dict.fromkeys(_changed(reference)))
    if not texts:
        return [f"3{reference}"] if not re.search(r"[A-Za-z]{2}", reference) else [f"{reference} 3"]
    step = max(1, len(texts) // MOST)
    return texts[::step][:MOST]


def _changed(reference: str) -> Iterator[str]:
    for match in _NUMERAL.finditer(reference):
        if _ZEROTH_POWER.match(reference, match.end()):
            # 10^0 is 54^0.
            continue
        yield reference[: match.start()] + _other(reference[: match.start()], match[0]) + reference[match.end() :]
    for sign, other in _SIGNS.items():
        if (position := reference.find(sign)) >= 0:
            yield reference[:position] + other + reference[position + len(sign) :]
    parts = re.split(r"(?<=[\d}\w]);\s*", reference)
    if len(parts) > 1:
        yield from (";".join([*parts[:place], *parts[place + 1 :]]) for place in range(len(parts)))


def _other(before: str, numeral: str) -> str:
    r"""Another numeral in its place: every digit changes, and ``\frac12`` stays a fraction."""
    if numeral.isdigit() and re.search(r"(?<![A-Za-z\\])i ?\^ ?\{? ?$", before):
        # i^4 is i^8.
        return str(int(numeral) + 1)
    one_digit = len(numeral) == 2 and re.search(r"\\[dt]?frac ?$", before)
    changed = "".join(str((int(digit) + 3) % 9 + 1) if digit.isdigit() else digit for digit in numeral)
    return changed if one_digit or changed != numeral else f"3{numeral}"
