r"""One spelling for a formula: Unicode becomes LaTeX, decoration goes, plain notation such as ``pi/2`` reads as LaTeX does."""

import re
import unicodedata
from functools import lru_cache

from stillhouse.verification.exact import numerals

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_VULGAR = {character: unicodedata.normalize("NFKC", character).split("\u2044") for character in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ", "÷": "/", "⁄": "/", "∕": "/",
    "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≦": "\\le ", "≧": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ",
    "≠": "\\neq ", "≈": "\\approx ", "±": "\\pm ", "∓": "\\mp ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ",
    "°": "^\\circ ", "…": "\\ldots ", "⋯": "\\ldots ", "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "δ": "\\delta ",
    "ε": "\\varepsilon ", "θ": "\\theta ", "λ": "\\lambda ", "μ": "\\mu ", "ρ": "\\rho ", "σ": "\\sigma ", "τ": "\\tau ",
    "φ": "\\varphi ", "ω": "\\omega ", "Δ": "\\Delta ", "Ω": "\\Omega ", "ℝ": "\\mathbb{R}", "ℕ": "\\mathbb{N}", "ℤ": "\\mathbb{Z}",
    "、": ",", "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "【": "[", "】": "]", "。": ".", "∶": ":", "∨": "\\lor ",
    "⟨": "(",
    "⟩": ")", "ħ": "\\hbar ", "\u200b": "", "\ufeff": "", "'": "'", "′": "'", "‰": "\\cdot 10^{-3} ",
}  # fmt: skip
_CHARACTER = re.compile("|".join(map(re.escape, _CHARACTERS)))

_DROPPED = re.compile(
    r"\\(?:left|right|[bB]ig+[lrm]?)(?![A-Za-z])\.?|\\(?:displaystyle|textstyle|scriptstyle|large|Large|"
    r"LARGE|huge|Huge|small|normalsize|bf|it|rm|sf|limits|nolimits|bigl|bigr|mathstrut|strut|null)(?![A-Za-z])"
    r"|\\color ?\{[^{}]*\}|\\(?:phantom|hphantom|vphantom|label|tag) ?\{[^{}]*\}|\\!"
    r"|(?<!\\)\$|\\color ?[a-z]+(?=[\d\s\\])|\\(?:checkmark|square|blacksquare|qed)(?![A-Za-z])|[✓✔✅]"
)
_SPACES = re.compile(
    r"(?:(?<!\\)\\[,;: >]|(?<!\\)~|\\(?:quad|qquad|enspace|thinspace|hspace\{[^{}]*\})(?![A-Za-z])|\s|\xa0|\u2009|\u202f)+"
)
_UNWRAPPED = re.compile(
    r"\\(?:underline|mathbf|boldsymbol|bm|mathit|mathnormal|mathsf|mathtt|mathop|textcolor ?\{[^{}]*\}|ensuremath|"
    r"bf|emph|displaylines|"
    r"fcolorbox ?\{[^{}]*\} ?\{[^{}]*\}|colorbox ?\{[^{}]*\}|smash|boxed|fbox|framebox|hbox|mbox(?=\{[\d$])) ?"
    r"\{([^{}]*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}[^{}]*)*)\}"
)
_OLD_FONT = re.compile(r"\{ ?\\(?:rm|bf|it|cal|sf|tt)\s+([^{}]*)\}")
_TEXT = re.compile(r"\\(?:text|textbf|textrm|textit|textsf|texttt|textnormal|textup|mathrm|mathsf|mbox|operatorname\*?|rm) ?\{")
_BRACKETS = {
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\langle": "(", "\\rangle": ")", "\\lvert": "|",
    "\\rvert": "|", "\\vert": "|", "\\mid": "|", "\\lVert": "\\|", "\\rVert": "\\|", "\\Vert": "\\|",
}  # fmt: skip
_UNIT_VECTOR = re.compile(
    r"\\(?:hat|widehat|vec|overrightarrow) ?\{? ?\{? ?(?:\\(?:mathbf|text|bf) ?\{? ?)?(?:\\([ij])math|([ijk]))(?![A-Za-z]) ?\}* ?"
)
r"""``\hat{\mathbf i}`` and the like, which are written as plain letters too."""
_UPPER, _LOWER = (
    r"(m|cm|km|mi|ft|g|kg|mg|mol|N|J|C|V|L|miles)", r"((?:s|h|hr|min|m|cm|kg|L|mol|K|hour)(?: ?\^ ?\{?[1-4]\}?)?)",
)  # fmt: skip
_FRACTION_OF_UNITS = re.compile(rf"(?<=\d) \\frac ?\{{ ?{_UPPER} ?\}} ?\{{ ?{_LOWER} ?\}}$")
_FRACTION_OF_TEXTS = re.compile(
    rf"(?<=[\d}}]) ?\\frac ?\{{ ?\\text ?\{{ ?{_UPPER} ?\}} ?\}} ?\{{ ?\\text ?\{{ ?{_LOWER} ?\}} ?(\^ ?\{{?[1-4]\}}?)? ?\}}$"
)
_REPLACED = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"), (re.compile(r"\\[dt]binom(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"\\frac ?(\d) ?(\d)"), r"\\frac{\1}{\2}"), (re.compile(r"\\frac ?(\d) ?\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac ?\{([^{}]*)\} ?(\d)"), r"\\frac{\1}{\2}"), (re.compile(r"\\(?:leq|leqslant|leqq)(?![A-Za-z])"), r"\\le"),
    (re.compile(r"\\(?:geq|geqslant|geqq)(?![A-Za-z])"), r"\\ge"), (re.compile(r"\\(?:ne|not ?=)(?![A-Za-z])"), r"\\neq"),
    (re.compile(r"\\(?:lt)(?![A-Za-z])"), "<"), (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\(?:varnothing|O(?![A-Za-z])|empty)(?![A-Za-z])"), r"\\emptyset"), (re.compile(r"\\\{ ?\\\}"), r"\\emptyset"),
    (re.compile(r"\\(?:dots|cdots|dotsc|dotsb|dotso)(?![A-Za-z])|\.\.\.+"), r"\\ldots "),
    (re.compile(r"\\(?:degree|deg)(?![A-Za-z])|\^ ?\{ ?\\circ ?\}|\^ ?\\circ(?![A-Za-z])|\\textdegree(?![A-Za-z])"), r"^\\circ "),
    (re.compile(r"\\(?:ast|star)(?![A-Za-z])"), r"\\cdot "), (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\\(?:lbrace|lbrack|rbrace|rbrack|langle|rangle|lvert|rvert|vert|mid|lVert|rVert|Vert)(?![A-Za-z])"),
     lambda match: _BRACKETS[match[0]]),
    (re.compile(r"\{ ?: ?\}"), ":"), (re.compile(r"\{ ?, ?\}"), "{,}"), (re.compile(r"\\(?:wedge|land)(?![A-Za-z])"), r"\\land"),
    (re.compile(r"\\vee(?![A-Za-z])"), r"\\lor"), (re.compile(r"\\(?:Leftrightarrow|iff)(?![A-Za-z])"), ","),
    (re.compile(r"\\phi(?![A-Za-z])"), r"\\varphi"), (re.compile(r"\\epsilon(?![A-Za-z])"), r"\\varepsilon"),
    (re.compile(r"\\textcircled ?\{? ?\\?(?:small|tiny|raisebox)?\s*\{? ?([1-9]) ?\}? ?\}?"),
     lambda match: chr(0x245F + int(match[1]))),
    (re.compile(r"\\%|\\(?:text|mathrm) ?\{ ?(?:percent|per cent|pct|%|\\%) ?\}|(?<=[\d}]) ?\bper ?cent\b"), "%"),
    (re.compile(r"<="), r"\\le "), (re.compile(r">="), r"\\ge "),
    (re.compile(r"!="), r"\\neq "), (re.compile(r"(?<=[\w)\]}]) ?==(?!=)"), "="), (re.compile(r"~=|≅"), r"\\approx "),
    (re.compile(r"\\\$"), "$"), (re.compile(r"(?<=\d) ?[xX] ?(?=10 ?(?:\^|\*\*))"), r"\\times "),
    (re.compile(r"\\text ?\{ ?(?:positive )?infinity ?\}", re.IGNORECASE), r"\\infty "), (_FRACTION_OF_UNITS, r" \\text{\1/\2}"),
    (_FRACTION_OF_TEXTS, lambda match: f" \\text{{{match[1]}/{match[2]}{match[3] or ''}}}"),
    (re.compile(r"^(?:minus|negative) (?=[\d\\.])", re.IGNORECASE), "-"),
    (re.compile(r"^负 ?(?=[\d\\.])"), "-"),
    (re.compile(r"\\(?:mathbf|boldsymbol|bm|mathrm) (?=\d)"), ""), (_UNIT_VECTOR, lambda match: f" {match[1] or match[2]} "),
    (re.compile(r"\{ ?([^{}]+?) ?\\choose(?![A-Za-z]) ?([^{}]+?) ?\}"), r"\\binom{\1}{\2}"),
    (re.compile(r"(?:\\text ?\{ ?C ?\}|(?<![A-Za-z\\])C) ?_ ?\{? ?(\d+) ?\}? ?\^ ?\{? ?(\d+) ?\}?"), r"\\binom{\1}{\2}"),
    (re.compile(r"\| ?\\begin ?\{array\}(?: ?\{[lcr| ]*\})?([^|]*)\\end ?\{array\} ?\|"), r"\\begin{vmatrix}\1\\end{vmatrix}"),
    (re.compile(r"\\\{ ?\\begin ?\{(array|aligned)\}(?: ?\{[lcr| ]*\})?(.*?)\\end ?\{\1\}(?! ?\\\})", re.DOTALL),
     r"\\begin{cases}\2\\end{cases}"),
    (re.compile(r"^\^ ?\{? ?(\w+) ?\}? ?C ?_ ?\{? ?(\w+) ?\}?"), r"\\binom{\1}{\2}"),
    (re.compile(r"\{ ?\} ?_ ?\{? ?(\w+) ?\}? ?(?:\\text ?\{ ?C ?\}|C) ?_ ?\{? ?(\w+) ?\}?"), r"\\binom{\1}{\2}"),
    (re.compile(r"(?<![A-Za-z\\])C ?\( ?(\w+) ?, ?(\w+) ?\)"), r"\\binom{\1}{\2}"),
    (re.compile(r"\\(max|min|gcd|lcm) ?\\\{([^{}]*)\\\}"), r"\\\1(\2)"),
    (re.compile(r"\*\*"), "^"), (re.compile(r"\\\\(?=[A-Za-z])(?!\\)"), r"\\"),
)  # fmt: skip
_UNIT_IN_BRACKETS = re.compile(r" ?\( ?(\\text ?\{[^{}]*\}|[\u3400-\u9fff]+) ?\)$")
_COUNTED_IN_BRACKETS = re.compile(r"(?<=\d) \( ?((?!mod\b)(?:[A-Za-z]{3,}|cm|mm|km|kg|ft|mi|lb|oz|hr)(?: [A-Za-z]{2,}){0,2}) ?\)$")
"""``9 (apples)``, as ASDiv writes its answers."""
_MATRIX_ROWS = re.compile(r"\\begin|\\\\\s|\\\\$|&")

_SPACED_COMMA = re.compile(r"(?<=\d),\\! ?(?=\d{3})")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?|(?!.*(?:per|==|\d \(|\d ?[xX] ?10|minus|negative|C ?\())[\w+\-^(),/= ]*", re.ASCII)


@lru_cache(maxsize=8192)
def spelled(text: str) -> str:
    """The formula in one spelling: single spaces, one command for what has several, words inside one command."""
    if _PLAIN.fullmatch(text):
        return numerals.with_whole_numbers(numerals.joined(_SPACES.sub(" ", text).strip()))
    text = _characters(text)
    text = _SPACED_COMMA.sub("{,}", text)
    for _ in range(2):
        text = _DROPPED.sub(" " if "\\color" in text else "", text) if "\\!" not in text else _DROPPED.sub("", text)
        text = _OLD_FONT.sub(r"\\text{\1}", text)
        text = _UNWRAPPED.sub(r"{\1}", text) if "\\" in text else text
    text = _TEXT.sub(r"\\text{", text)
    for pattern, replacement in _REPLACED:
        if pattern.pattern.startswith(r"\\\\") and _MATRIX_ROWS.search(text):
            continue
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text).strip()
    text = re.sub(r"(?:\\\\ ?)+$", "", text).rstrip()
    text = _COUNTED_IN_BRACKETS.sub(r" \\text{\1}", _UNIT_IN_BRACKETS.sub(r" \1", text))
    text = text.removesuffix("\\").rstrip() if re.search(r"(?<!\\)\\$", text) else text
    return numerals.with_periods(numerals.with_whole_numbers(numerals.joined(text)))


def _characters(text: str) -> str:
    if text.isascii():
        return text
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda match: f"^{{{match[0].translate(_SUPERSCRIPTS)}}}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉ₙ]+", lambda match: f"_{{{match[0].translate(_SUBSCRIPTS)}}}", text)
    for character, (top, bottom) in _VULGAR.items():
        if character in text:
            text = re.sub(rf"(\d) ?{character}", rf"\1 {top}/{bottom}", text).replace(character, f"\\frac{{{top}}}{{{bottom}}}")
    text = re.sub(r"√ ?\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√ ?(\d+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = _CHARACTER.sub(lambda match: _CHARACTERS[match[0]], text)
    return "".join(
        unicodedata.normalize("NFKC", character) if not character.isascii() and not 0x2460 <= ord(character) < 0x24FF else character
        for character in text
    )


def readings(text: str) -> tuple[bool, ...]:
    """The values of ``thousands`` with which ``read`` may read a text in different ways."""
    return (True, False) if re.search(r"\d,[1-9]\d\d", text) and not re.search(r"\d,0\d\d", text) else (True,)
