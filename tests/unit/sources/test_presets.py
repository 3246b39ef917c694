import json

import pytest
from pydantic import TypeAdapter, ValidationError

from stillhouse import sources
from stillhouse.exchange.presets import presets
from stillhouse.sources.config import Spec
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import Dropped, Question
from tests.unit.sources.shapes import OPEN_THOUGHT, SHAPES

FILES = {"am-math-difficulty-rl": "math_difficulty_level_2.jsonl", "orz": "orz.json"}


def write(directory, name):
    path = directory / FILES.get(name, "rows.jsonl")
    rows = SHAPES[name]
    path.write_text(json.dumps(rows, indent=1) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(directory, name, **settings):
    spec = {"kind": "preset", "name": name, "path": str(write(directory, name)), "revision": "1"} | settings
    rows = list(sources.read(TypeAdapter(Spec).validate_python(spec)))
    assert [row.reason for row in rows if isinstance(row, Dropped) and row.reason != "filtered"] == []
    return [row for row in rows if isinstance(row, Question)]


FIRST = {
    "gsm8k": ("A box holds 2 pens. How many pens are in 1000 boxes?", "2000"),
    "math": ("Compute $2 \\cdot \\frac{1}{7}$.", "\\frac{2}{7}"),
    "math-500": ("Find $x$ with $x - 2 = 3$.", "5"),
    "numina-math": ("What is 2 squared?", "4"),
    "numina-math-cot": ("How much is 2 + 1?", "3"),
    "openr1-math": ("How much is 2 + 3?", "5"),
    "open-math-reasoning": ("Find 2 + 9.", "11"),
    "deepscaler": ("What is $2^2$?", "4"),
    "dapo-17k": ("What is 2 * 11?", "22"),
    "big-math": ("What is 2 - 1?", "1"),
    "orz": ("What is 2 times 13?", "26"),
    "svamp": ("Ann has 2 cards and Ben has 3. How many cards have they together?", "5"),
    "asdiv": ("Seven red apples and 2 green apples are in the basket. How many apples are in the basket?", "9"),
    "olympiadbench": ("Find all $x$ with $x^2=4$.", "$2$, $-2$"),
    "aime": ("Find 2 + 100.", "102"),
    "aime-1983-2024": ("Find 2 + 200.", "202"),
    "amc": ("Find 2 / 2 + 1/2.", "1.5"),
    "am-math-difficulty-rl": ("Find 2 + 50.", "52"),
    "natural-reasoning": ("Why does ice number 2 float?", "It is less dense than liquid water."),
    "am-1.4m": ("How much is 2 + 3?", "5"),
    "am-40m": ("How much is 2 + 3?", "5"),
}  # fmt: skip
CHOICES = {
    "mmlu": ("What is 2 + 1?\nA) 0\nB) 3\nC) 77\nD) 99\n\n", "B"),
    "mmlu-pro": ("What is 2 + 2?\nA) 0\nB) 50\nC) 4\nD) 70\nE) 80\nF) 90\nG) 91\nH) 92\nI) 93\nJ) 94\n\n", "C"),
    "supergpqa": ("Which one is 2?\nA) zero\nB) one hundred\nC) 2\nD) minus one\nE) ten thousand\n\n", "C"),
}


def test_presets_every_one_has_rows_of_its_shape_here():
    assert sorted(SHAPES) == sorted(presets())
    assert len(presets()) > 30


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_preset_rows_become_questions_with_what_their_category_needs(tmp_path, name):
    made = read(tmp_path, name)
    filtered = {"numina-math": 1, "open-math-reasoning": 1, "olympiadbench": 1, "natural-reasoning": 1, "apps": 1}
    assert len(made) == len(SHAPES[name]) - filtered.get(name, 0)
    assert {row.source for row in made} == {name}
    assert {row.license for row in made} == {presets()[name].license}
    assert all(getattr(row, needed) for row in made if (needed := FACTS[row.category].needs))
    assert all(row.messages[-1]["role"] == "user" and row.messages[-1]["content"] for row in made)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_preset_question_and_reference_are_those_of_the_row(tmp_path, name):
    first = read(tmp_path, name)[0]
    assert (first.messages[-1]["content"], first.reference_answer) == FIRST[name]


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_preset_of_choices_shows_the_options_and_names_the_letter(tmp_path, name):
    first = read(tmp_path, name)[0]
    text, letter = CHOICES[name]
    assert first.messages[-1]["content"] == f"{text}Exactly one choice is right. Answer with its letter."
    assert first.reference_answer == letter


def test_preset_gpqa_hides_which_option_is_first_in_the_columns(tmp_path):
    for row in read(tmp_path, "gpqa"):
        options = row.messages[-1]["content"].split("\n")
        assert f"{row.reference_answer}) neutron" in options
    assert len({row.reference_answer for row in read(tmp_path, "gpqa")}) > 1


def loaded_tests(question):
    return json.loads(question.test_cases)


def test_preset_mbpp_asserts_and_shows_the_tests(tmp_path):
    first = read(tmp_path, "mbpp")[0]
    assert loaded_tests(first) == {
        "call_type": "assert", "fn_name": None, "inputs": [], "outputs": [], "language": "python",
        "assert_case": ["assert add_2(1) == 3", "assert add_2(5) == 7"],
    }  # fmt: skip
    assert "assert add_2(1) == 3" in first.messages[0]["content"]


def test_preset_humaneval_calls_check_beside_the_prompts_helpers_but_not_its_unfinished_function(tmp_path):
    (case,) = loaded_tests(read(tmp_path, "humaneval")[0])["assert_case"]
    assert case.startswith("def helper(x):")
    assert case.endswith("check(twice_2)\n")
    assert "Twice x" not in case


def test_preset_apps_reads_standard_input_and_calls(tmp_path):
    typed, called = map(loaded_tests, read(tmp_path, "apps"))
    assert (typed["inputs"], typed["outputs"], typed["fn_name"]) == (["1 2\n", "3 4\n"], ["3\n", "7\n"], None)
    assert (called["inputs"], called["outputs"], called["fn_name"]) == (["1\n2", "3\n4"], ["3", "7"], "add")


def test_preset_code_contests_joins_public_and_private_tests(tmp_path):
    tests = loaded_tests(read(tmp_path, "code-contests")[0])
    assert (tests["inputs"], tests["outputs"]) == (["1 2\n", "5 6\n"], ["3\n", "11\n"])


def test_preset_livecodebench_calls_only_functional_tests(tmp_path):
    typed, called = map(loaded_tests, read(tmp_path, "livecodebench"))
    assert (typed["fn_name"], called["fn_name"], called["inputs"]) == (None, "double", ["4"])


def test_preset_kodcode_is_called_as_pytest_would(tmp_path):
    tests = loaded_tests(read(tmp_path, "kodcode")[0])
    assert (tests["call_type"], tests["fn_name"]) == ("pytest", "plus_2")


def test_preset_leetcode_checks_the_method(tmp_path):
    (case,) = loaded_tests(read(tmp_path, "leetcode")[0])["assert_case"]
    assert case.startswith("from typing import *\n")
    assert case.endswith("check(Solution().double)\n")


def test_preset_ifeval_joins_ids_and_their_arguments(tmp_path):
    assert json.loads(read(tmp_path, "ifeval")[0].constraints) == {
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{}, {"num_words": 5, "relation": "at least"}],
    }


def test_preset_openr1_keeps_the_first_response_that_is_right(tmp_path):
    assert read(tmp_path, "openr1-math")[0].original_response == "<think>right</think>It is \\boxed{5}."


def test_preset_openthoughts_thinking_has_our_form_and_the_system_prompt_stays(tmp_path):
    first = read(tmp_path, "openthoughts-114k")[0]
    assert first.messages[0] == {"role": "system", "content": "Explore the question in depth."}
    assert first.original_response == "<think>\n\nadd them\n\n</think>\n\nIt is \\boxed{5}.\n\n"
    assert "<|" in OPEN_THOUGHT


def test_preset_alpaca_joins_instruction_and_input(tmp_path):
    texts = [row.messages[0]["content"] for row in read(tmp_path, "alpaca")]
    assert texts == ["Give a synonym of the word.\n\nquick", "Name a colour."]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "gsm8"}, "did you mean gsm8k"),
        ({}, "preset gsm8k: give path, or revision, a commit on the hub"),
        ({"path": "x.jsonl"}, "exactly one of sha256 and revision"),
        ({"revision": "main"}, "main is a branch"),
        ({"name": "am-40m", "revision": "1"}, "preset am-40m: give path, and revision or sha256"),
    ],
)
def test_preset_spec_that_cannot_be_read_is_refused(settings, says):
    with pytest.raises(ValidationError, match=says):
        TypeAdapter(Spec).validate_python({"kind": "preset", "name": "gsm8k"} | settings)


def test_preset_of_the_hub_is_pinned_and_sliced():
    spec = TypeAdapter(Spec).validate_python({"kind": "preset", "name": "gsm8k", "revision": "abc", "slice": "[:10]"})
    made = spec.resolved()
    assert (made.dataset, made.subset, made.split, made.revision) == ("openai/gsm8k", "main", "train[:10]", "abc")
