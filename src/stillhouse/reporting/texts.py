"""Texts of models and sources as HTML: escaped, controls made visible, code highlighted, formulas left to KaTeX in the page."""

import re
from functools import cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from stillhouse.vocabulary.masking import printable

FENCE = re.compile(r"^```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
"""A fenced block: its language, and its lines up to the closing fence or the end of the text."""
FORMULA = re.compile(r"\$\$|\\\(|\\\[|\$[^$\s][^$\n]*\$")
LIGHT, DARK = "default", "github-dark"
"""The styles of pygments for the two colour schemes."""


def model_text(text: str) -> Markup:
    """A text that may hold anything, as HTML in which nothing runs and nothing is loaded.

    Fenced blocks are highlighted as their language says. Control characters, also those that turn the direction of writing, are
    shown in their escaped form.
    """
    pieces, end = list[Markup](), 0
    for block in FENCE.finditer(text):
        pieces += [_prose(text[end : block.start()]), _code(block[1], block[2])]
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
    formatter = HtmlFormatter(nowrap=True)
    return Markup('<pre class="code">{}</pre>').format(Markup(highlight(_visible(lines), _lexer(language), formatter)))


@cache
def _lexer(language: str) -> Lexer:
    try:
        return get_lexer_by_name(language or "text")
    except ClassNotFound:
        return TextLexer()


def _visible(text: str) -> str:
    return printable(text, keep="\n\t")
