"""Texts of models and sources as HTML: escaped, controls made visible, code highlighted, formulas left to KaTeX in the page."""

import re
from functools import cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name

from stillhouse.vocabulary.masking import printable
from stillhouse.vocabulary.text import excerpt

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)(?:^```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
"""A fenced block: what stands behind the fence, and its lines up to the closing fence or the end of the text."""
MOST_CHARS = 200_000
"""Characters of a text that are shown; of a longer one the middle is left out."""
MOST_BLOCKS, MOST_CODE = 50, 20_000
"""Blocks of a text that are highlighted, and characters of a block: what is beyond is shown as it is."""
FORMULA = re.compile(r"\$\$|\\\(|\\\[|\$[^$\s][^$\n]*\$")
LIGHT, DARK = "default", "github-dark"
"""The styles of pygments for the two colour schemes."""


def model_text(text: str) -> Markup:
    """A text that may hold anything, as HTML in which nothing runs and nothing is loaded.

    Fenced blocks are highlighted as their language says. Control characters, also those that turn the direction of writing, are
    shown in their escaped form.
    """
    text = excerpt(text, MOST_CHARS)
    pieces, end = list[Markup](), 0
    for number, block in enumerate(FENCE.finditer(text)):
        pieces += [_prose(text[end : block.start()]), _code(block[1].strip() if number < MOST_BLOCKS else "", block[2])]
        end = block.end()
    return Markup("").join([*pieces, _prose(text[end:])])


def has_formula(text: str) -> bool:
    """Whether a text seems to hold a formula in TeX: then its page needs KaTeX."""
    return FORMULA.search(text) is not None


@cache
def code_styles() -> Markup:
    """The style sheet of highlighted code, for light and dark pages."""
    light, dark = (HtmlFormatter(style=style).get_style_defs(".code") for style in (LIGHT, DARK))
    return Markup("{}\n@media (prefers-color-scheme: dark) {{\n{}\n}}").format(Markup(light), Markup(dark))


def _prose(text: str) -> Markup:
    stripped = text.strip("\n")
    return Markup('<div class="prose">{}</div>').format(_visible(stripped)) if stripped.strip() else Markup("")


def _code(language: str, lines: str) -> Markup:
    lexer, shown = _lexer(language), _visible(lines)
    inner = Markup(highlight(shown, lexer, HtmlFormatter(nowrap=True))) if lexer and len(lines) <= MOST_CODE else shown
    return Markup('<pre class="code">{}</pre>').format(inner)


@cache
def _known() -> dict[str, str]:
    """Alias -> the lexer's name."""
    return {alias: name for name, aliases, _, _ in get_all_lexers() for alias in aliases}


def _lexer(language: str) -> Lexer | None:
    """The lexer of a language; None if none is named, or it is not known."""
    name = language.split(maxsplit=1)[0].lower() if language else ""
    return get_lexer_by_name(name) if name in _known() else None


def _visible(text: str) -> str:
    return printable(text, keep="\n\t")
