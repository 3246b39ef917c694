import json

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig
from stillhouse.stages import rl
from stillhouse.training.rl.environments import rollout_environment
from stillhouse.training.rl.environments.tool_use import MOST_CALLS


def config(**settings):
    return rl.Config(environment=settings).environment


def tools(*names):
    return rollout_environment.load(config(tools=names))(testing.question())


def call(name, **arguments):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def test_tool_use_returns_the_results_of_all_calls_of_a_turn_and_ends_with_a_turn_without():
    calculator = tools("calculator")
    turn = f"<think>Hm.</think>{call('calculator', expression='1 + 2')} and\n{call('calculator', expression='2 * 2')}"
    assert calculator.reply(turn) == "<tool_response>\n3\n</tool_response>\n<tool_response>\n4\n</tool_response>"
    assert calculator.reply("<think>So.</think><answer>7</answer>") is None
    assert (calculator.n_calls, calculator.n_failed) == (2, 0)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("<tool_call>{'name'}</tool_call>", 'error: a call is {"name": …, "arguments": {…}} in JSON'),
        ("<tool_call>[1]</tool_call>", "error: a call is"),
        (call("calculatr"), "error: no tool 'calculatr'; tools: calculator"),
        ('<tool_call>{"name": "calculator", "arguments": [1]}</tool_call>', "error: arguments is a JSON object"),
        ('<tool_call>{"name": ["calculator"], "arguments": {}}</tool_call>', "error: "),
        (call("calculator"), "error: TypeError: "),
        (call("calculator", expression="1 / 0"), "error: ZeroDivisionError: division by zero"),
        (call("calculator", expression=3), "error: TypeError: "),
    ],
)
def test_tool_use_call_that_cannot_be_made_is_told_to_the_model_and_counted(turn, said):
    calculator = tools("calculator")
    assert said in calculator.reply(turn)
    assert (calculator.n_calls, calculator.n_failed) == (1, 1)


def test_tool_use_calls_beyond_the_most_are_not_made():
    calculator = tools("calculator")
    reply = calculator.reply(call("calculator", expression="1") * (MOST_CALLS + 2))
    assert reply.count("\n1\n") == calculator.n_calls == MOST_CALLS
    assert f"{MOST_CALLS + 2} calls in one turn, only the first {MOST_CALLS} were made" in reply


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_tools.py").write_text(
        'def weather(city: str, days: int = 1):\n'
        '    """The weather.\n\n    Args:\n        city: Where.\n        days: How many.\n    """\n'
        '    return f"rain in {city} for {days}"\n'
        'def bare(x):\n    """Says nothing of x."""\n'
        "class Guess:\n    instructions = 'Guess.'\n    def __init__(self, question):\n        self.question = question\n"
        "    def reply(self, turn):\n        return None\n"
        "class Mute:\n    def __init__(self, question):\n        pass\n"
        "def two(question, more):\n    pass\n"
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_tools"


def test_tool_use_function_of_ones_own_is_described_by_its_docstring_and_pinned(own):
    settings = config(tools=[f"{own}:weather"])
    assert settings.tools[0].startswith("own_tools:weather@sha256-")
    weather = rollout_environment.load(settings)(testing.question())
    assert weather.reply(call("weather", city="Bonn", days=2)) == "<tool_response>\nrain in Bonn for 2\n</tool_response>"
    assert '"weather"' in rollout_environment.instructions(settings)
    assert '"How many."' in rollout_environment.instructions(settings)


def test_tool_use_tool_that_does_not_describe_itself_is_refused(own):
    with pytest.raises(BadConfig, match="tool bare: its docstring or type hints do not describe it"):
        rollout_environment.load(config(tools=[f"{own}:bare"]))


def test_environment_of_ones_own_is_constructed_with_the_question_and_pinned(own):
    settings = config(kind=f"{own}:Guess")
    assert settings.kind.startswith("own_tools:Guess@sha256-")
    assert rollout_environment.load(settings)(testing.question()).question == testing.question()
    assert rollout_environment.instructions(settings) == "Guess."
    assert rollout_environment.instructions(settings.model_copy(update={"announce": False})) == ""


@pytest.mark.parametrize(("name", "problem"), [("Mute", "has no method `reply"), ("two", "called with one argument, the question")])
def test_environment_that_cannot_be_one_is_refused(own, name, problem):
    with pytest.raises(BadConfig, match=problem):
        rollout_environment.load(config(kind=f"{own}:{name}"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "kind tools needs `tools`, such as .calculator."),
        ({"tools": ["calculater"]}, "no tool 'calculater'; did you mean calculator"),
        ({"kind": "tool"}, "no environment 'tool'; did you mean tools"),
        ({"tools": ["calculator"], "max_turns": 0}, "max_turns"),
    ],
)
def test_environment_in_a_recipe_that_cannot_be_is_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        rl.Config(environment=settings)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"validation": {"every": 10}}, "validation asks for single responses"),
        ({"dynamic_sampling": {}}, "choose among single responses"),
        ({"active_sampling": {}}, "choose among single responses"),
    ],
)
def test_environment_beside_what_takes_single_responses_is_refused(other, problem):
    with pytest.raises(ValueError, match=problem):
        rl.Config(environment={"tools": ["calculator"]}, **other)


def test_environment_is_not_dumped_unless_it_is_set():
    assert "environment" not in rl.Config().model_dump(mode="json")
