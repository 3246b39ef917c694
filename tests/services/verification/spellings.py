"""Families of answers: each holds many spellings of one value and of values that are easily taken for it."""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction

Family = list[str]


def families(count: int, seed: int) -> Iterator[Family]:
    """``count`` families, kind by kind in turn."""
    makers = list(MAKERS.values())
    draw = random.Random(seed)
    for number in range(count):
        yield makers[number % len(makers)](draw)


def integers(draw: random.Random) -> Family:
    value = draw.choice([draw.randint(-20, 20), draw.randint(-(10**6), 10**6), draw.randint(10**9, 10**14)])
    near = value + draw.choice([-1, 1, 10, -2 * value])
    written = [
        f"{value}",
        f"{value:,}",
        f"{value}.0",
        f"\\frac{{{2 * value}}}{{2}}",
        f"{near}",
        f"{near:,}",
        f" {value} ",
        f"+{abs(value)}",
    ]
    return [*written, f"{value}\\text{{ {draw.choice(['cm', 'apples', 'square units', 'm', 'kg', 'hours'])}}}"]


def percents(draw: random.Random) -> Family:
    value = draw.choice([draw.randint(1, 120), 100, 5, 50])
    share = Fraction(value, 100)
    written = [f"{value}\\%", f"{value}", f"{value}%", f"{float(share)}", f"\\frac{{{share.numerator}}}{{{share.denominator}}}"]
    return [*written, f"{value}.5\\%", f"{value + 1}\\%", f"{value} \\%", f"{100 * value}", f"{value}.0\\%"]


def amounts(draw: random.Random) -> Family:
    value = draw.randint(1, 9_999_999)
    written = [
        f"\\${value}",
        f"\\${value:,}",
        f"{value}",
        f"{value}.00",
        f"\\${value:,}.50",
        f"{value}.5",
        f"{value:,}.5",
        f"-\\${value}",
    ]
    return [
        *written,
        f"{value}\\text{{ dollars}}",
        f"{value}\\,",
        f"{value}^\\circ",
        f"{value}^{{\\circ}}",
        f"{value:,}\\text{{ m}}^2",
    ]


def decimals(draw: random.Random) -> Family:
    places = draw.choice([1, 2, 3, 6, 7, 8])
    value = round(draw.uniform(-3, 3) * draw.choice([1, 100]), places)
    text = f"{value:.{places}f}"
    exact = Fraction(text)
    near = [f"{value + step * 1e-7:.7f}" for step in (1, 3, 6, 12, 40)]
    written = [text, f"{text}0", f"\\frac{{{exact.numerator}}}{{{exact.denominator}}}", text.replace("0.", ".", 1), f"{value:.1f}"]
    return [*written, *near, f"{value:.6f}"]


def fractions(draw: random.Random) -> Family:
    top, bottom = draw.randint(-40, 40), draw.choice([2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 100, 144])
    written = [
        f"\\frac{{{top}}}{{{bottom}}}",
        f"{top}/{bottom}",
        f"\\dfrac{{{3 * top}}}{{{3 * bottom}}}",
        f"-\\tfrac{{{-top}}}{{{bottom}}}",
    ]
    written += [f"{top / bottom:.6f}", f"{top / bottom:.4f}", f"{top / bottom}"[:9], f"\\frac{{{top + 1}}}{{{bottom}}}"]
    if abs(top) < 10 and bottom < 10 and top >= 0:
        written.append(f"\\frac{top}{bottom}")
    whole, rest = divmod(abs(top), bottom)
    return [*written, f"{'-' if top < 0 else ''}{whole}\\frac{{{rest}}}{{{bottom}}}", f"{whole} \\frac{{{rest}}}{{{bottom}}}"]


def surds(draw: random.Random) -> Family:
    factor, inside, rest = draw.randint(2, 6), draw.choice([2, 3, 5, 6, 7]), draw.randint(-5, 5)
    written = [
        f"{factor}\\sqrt{{{inside}}}",
        f"\\sqrt{{{factor**2 * inside}}}",
        f"\\sqrt{inside} \\cdot {factor}",
        f"{factor}\\sqrt{{{inside + 1}}}",
    ]
    written += [
        f"{rest}+{factor}\\sqrt{{{inside}}}",
        f"{factor}\\sqrt{{{inside}}}+{rest}",
        f"\\frac{{{factor}\\sqrt{{{inside}}}}}{{2}}",
    ]
    written += [f"\\frac{{{factor * inside}}}{{\\sqrt{{{inside}}}}}", f"-{factor}\\sqrt{{{inside}}}", f"{factor}\\sqrt{inside}"]
    return [
        *written,
        f"\\frac{{{factor}\\pi}}{{{inside}}}",
        f"{factor}\\pi",
        f"\\frac{{{factor}}}{{{inside}}}\\pi",
        f"(1+\\sqrt{{{inside}}})^2",
    ]


def polynomials(draw: random.Random) -> Family:
    x, y = draw.choice(["xy", "nk", "pq", "au", "vw", "zx"])
    a, b = draw.randint(1, 9), draw.randint(-9, 9) or 1
    written = [
        f"({x}{a:+d})({x}{b:+d})",
        f"{x}^2{a + b:+d}{x}{a * b:+d}",
        f"{x}^{{2}} {a + b:+d}{x} {a * b:+d}",
        f"{a * b:+d}{a + b:+d}{x}+{x}^2",
    ]
    written += [
        f"{x}^2{a - b:+d}{x}{a * b:+d}",
        f"({x}{a:+d})^2",
        f"{x}^2+{2 * a}{x}+{a * a}",
        f"{a}{x}{y}",
        f"{a}{y}{x}",
        f"{a}{x}+{y}",
    ]
    written += [
        f"\\frac{{{x}+{y}}}{{{a + 1}}}",
        f"{x}{y}",
        f"{y} \\cdot {x}",
        f"{x}({x}{b:+d})",
        f"{x}^2{b:+d}{x}",
        f"2{x}+{x}",
        f"3{x}",
        f"-{x}^2{y}",
    ]
    return written


def groups(draw: random.Random) -> Family:
    left = draw.randint(-9, 9)
    right = left + draw.choice([1, 2, 5, -3, 250])
    half = Fraction(2 * right + 1, 2)
    written = [
        f"({left},{right})",
        f"({left}, {right})",
        f"[{left},{right}]",
        f"({left},{right}]",
        f"\\{{{left},{right}\\}}",
        f"{left}, {right}",
    ]
    written += [
        f"\\left({left},{right}\\right)",
        f"\\{{{right}, {left}\\}}",
        f"{right},{left}",
        f"({right},{left})",
        f"\\left[{left}, {right}\\right)",
    ]
    fraction = f"\\frac{{{half.numerator}}}{{{half.denominator}}}"
    return [
        *written,
        f"({left}, {fraction})",
        f"({left}, {float(half)})",
        f"\\{{{fraction},{left}\\}}",
        f"\\{{{left}, {float(half)}\\}}",
        f"{left}",
    ]


def triples(draw: random.Random) -> Family:
    one, two, three = (draw.randint(-9, 300) for _ in range(3))
    written = [
        f"({one},{two},{three})",
        f"({one}, {two}, {three})",
        f"[{one},{two},{three}]",
        f"\\{{{three},{one},{two}\\}}",
        f"{one}, {two}, {three}",
    ]
    written += [
        f"({two},{one},{three})",
        f"\\{{{one},{two}\\}}",
        f"({one},{two},{three},{one})",
        f"({one},\\frac{{{two}}}{{1}},{three}.0)",
    ]
    return [
        *written,
        f"({one},\\sqrt{{2}},{three})",
        f"({one},\\frac{{2}}{{\\sqrt{{2}}}},{three})",
        f"({one},x+1,{three})",
        f"({one},1+x,{three})",
    ]


def rays(draw: random.Random) -> Family:
    end = draw.choice([draw.randint(-9, 9), draw.randint(1000, 9999)])
    written = [
        f"({end},\\infty)",
        f"({end}, \\infty)",
        f"({end},\\infty]",
        f"[{end},\\infty)",
        f"(-\\infty,{end})",
        f"(-\\infty,{end}]",
    ]
    return [
        *written,
        f"\\left(-\\infty, {end}\\right)",
        "(-\\infty,\\infty)",
        f"({end},{end + 1})",
        f"({2 * end}/2,\\infty)",
        f"{end}",
    ]


MAKERS: dict[str, Callable[[random.Random], Family]] = {
    "integers": integers, "percents": percents, "amounts": amounts, "decimals": decimals, "fractions": fractions, "surds": surds,
    "polynomials": polynomials, "groups": groups, "triples": triples, "rays": rays,
}  # fmt: skip

SENTENCES = (
    "\\boxed{%s}", "$\\boxed{%s}$", "$$\\boxed{%s}$$", "\\(\\boxed{%s}\\).", "\\[ \\boxed{%s} \\]", "So it is \\boxed{%s}.",
    "Since $x = 3$, the answer is $\\boxed{%s}$.", "The final answer is $\\boxed{%s}$.", "The final answer is: $\\boxed{%s}$",
    "**Final Answer**\n\\[\n\\boxed{%s}\n\\]", "We get 12 + 30 = 42, then \\boxed{%s} and we are done.", "$%s$",
    "\\(%s\\)", "$$%s$$", "%s", "$ %s $.",
    "First $a = 1$ and \\(b = 2\\).\n\nHence \\[\\boxed{%s}\\]", "It costs \\$3 each, so $\\boxed{%s}$ in all.",
    "\\boxed{%s}\n\nThis is because 3 < 5.",
    "The answer is \\boxed{%s}, as wanted.", "answer: \\boxed{%s}",
)  # fmt: skip
"""Ways to give an answer."""
