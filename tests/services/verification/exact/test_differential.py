from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillhouse.verification.math import MathVerifier
from stillhouse.verification.verdict import VerificationRequest
from tests.services.verification.differential import disagreements, math_verify_says

PAIRS = {
    "integers": 5200, "percents": 3600, "amounts": 4600, "decimals": 2800, "fractions": 2200, "surds": 300, "polynomials": 200,
    "groups": 500, "triples": 300, "rays": 300,
}  # fmt: skip
"""Pairs to be decided, by kind: 20,000. What is slow for math-verify is the smaller part."""
WORKERS = 2


@pytest.fixture(scope="module")
def workers():
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield pool


def test_pairs_are_twenty_thousand():
    assert sum(PAIRS.values()) >= 20_000


@pytest.mark.parametrize("kind", PAIRS)
def test_exact_never_disagrees_with_math_verify(workers, kind):
    shares = [workers.submit(disagreements, kind, PAIRS[kind] // WORKERS, seed) for seed in range(WORKERS)]
    decided, found = zip(*(share.result() for share in shares), strict=True)
    assert sum(decided) >= PAIRS[kind]
    assert [line for lines in found for line in lines] == []


PIECES = [
    *"0123.,+-()[]/%x", " ", "10", "1,234", "0.5", "\\frac{1}{2}", "\\frac12", "\\sqrt{2}", "\\pi", "^2", "\\%", "\\text{ cm}",
    "\\,", "\\infty", "\\{", "\\}", "\\cdot ", "\\left(", "\\right)", "^\\circ", "\\$", "{,}", "n", "\\dfrac{3}{4}",
]  # fmt: skip
FORMULAS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(FORMULAS, FORMULAS)
@example("1,234", "1,234\\,")
@example("100", "100\\%")
@example("2", "\\frac{2}{1}\\%")
def test_exact_decides_arbitrary_formulas_as_math_verify_or_not_at_all(reference, answer):
    for text in (answer, reference):
        verdict = MathVerifier().fast_path(VerificationRequest("math", f"\\boxed{{{text}}}", reference))
        if verdict is not None and verdict.kind in ("correct", "wrong"):
            assert (verdict.kind == "correct") == math_verify_says(reference, f"\\boxed{{{text}}}")


FRAGMENTS = [
    "\\boxed{7}", "$\\boxed{7}$", "\\[\\boxed{8}\\]", "$", "$$", "\\(", "\\)", "\\[", "\\]", " [", "] ", "final answer is ",
    "Final Answer: ", " is ", "answer: ", "I hope", ".", " ", ", ", " and ", "%", "percent", "$8$", "8", "\n", "{", "}", "\\$9",
    "**", "=", "1/2", "7",
]  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=7).map("".join))
@example("Final Answer: \\boxed{7} is 8")
@example("$\\boxed{7}$ and $8$")
@example("\\boxed{8} and \\boxed{7}")
def test_exact_takes_the_answer_from_a_text_as_math_verify_or_not_at_all(text):
    verdict = MathVerifier().fast_path(VerificationRequest("math", text, "7"))
    if verdict is not None and verdict.kind in ("correct", "wrong"):
        assert (verdict.kind == "correct") == math_verify_says("7", text)
