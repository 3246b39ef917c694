"""Templates -> pages that need no server and no network, and in which no text of a model can run."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stillhouse.reporting.texts import code_styles, model_text
from stillhouse.vocabulary.masking import printable

TEMPLATES, ASSETS = (Path(__file__).parent / name for name in ("templates", "assets"))
FORMULAS = ("katex/katex.min.js", "katex/auto-render.min.js", "formulas.js")
"""The scripts that turn TeX into formulas, in their order."""


def write_page(path: Path, template: str, *, scripts: Sequence[str] = (), formulas: bool = False, **values: Any) -> None:
    """Write a page that opens from disk, see ``rendered``: it loads nothing, and sends nothing."""
    page, _ = rendered(template, scripts=scripts, formulas=formulas, **values)
    path.write_text(page, encoding="utf-8")


def rendered(
    template: str, *, scripts: Sequence[str] = (), formulas: bool = False, server: bool = False, **values: Any
) -> tuple[str, str]:
    """Fill in a template of ``templates/``. Values are escaped; charts and ``model_text`` are ``Markup`` and stay as they are.

    ``scripts`` are files of ``assets/``; with ``formulas`` the page carries KaTeX. The page's own policy lets these scripts run, by
    their digests, and nothing else. ``server``: forms and scripts may talk to the server that the page is from.

    Returns the page and its policy.
    """
    sources = [asset(name) for name in (*scripts, *(FORMULAS if formulas else ()))]
    styles = [*([asset("katex/katex.css")] if formulas else []), code_styles()]
    policy = _policy(sources, "'self'" if server else "'none'")
    page = environment().get_template(template).render(scripts=sources, styles=styles, policy=policy, **values)
    return page, policy


@cache
def asset(name: str) -> Markup:
    """The content of a file of ``assets/``: our own, never a model's."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))


@cache
def environment() -> Environment:
    """The templates, with the filters ``model_text`` and ``visible``, which show control characters in their escaped form."""
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    templates.filters |= {"model_text": model_text, "visible": printable}
    return templates


def _policy(scripts: Sequence[str], talks_to: str) -> str:
    """The content security policy of a page with these scripts."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    others = f"style-src 'unsafe-inline'; font-src data:; base-uri 'none'; form-action {talks_to}; connect-src {talks_to}"
    return f"default-src 'none'; script-src {allowed}; {others}"
