"""Templates -> pages."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: Path, template: str, **values: object) -> None:
    """Fill in a template of ``templates/``. Values are escaped; charts are ``Markup`` and stay as they are."""
    path.write_text(_environment().get_template(template).render(**values), encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
