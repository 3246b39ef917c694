"""The page of one screening: how many responses each rule dropped."""

from collections.abc import Collection, Mapping
from pathlib import Path

from stillhouse.reporting.rendering import write_page

PAGE = "screened.html"


def write_screened(output: Path, n_screened: int, dropped: Mapping[str, int], rules: Collection[str], off: Collection[str]) -> str:
    """Write the page; ``rules`` are all rules in their order, ``off`` those that did not run. Returns its name."""
    counts = {rule: None if rule in off else dropped.get(rule, 0) for rule in rules}
    write_page(
        output / PAGE,
        "screened.html.j2",
        title="Responses",
        n_screened=n_screened,
        counts=counts,
        kept=n_screened - sum(dropped.values()),
    )
    return PAGE
