import re

import pytest
from jinja2.sandbox import SandboxedEnvironment

from operators.job import StageJob
from operators.pod import StagePod
from operators.process import StageProcess
from operators.templates import Template, as_template

TEXTS = [
    "plain", "", "s3://b/sft/{{ conn.x.password }}/1", "{{ '{{ x }}' }}", "{% raw %}{{ x }}{% endraw %}", "{# gone #}", "{{", "}}",
    "{", "one\r\ntwo\rthree\n\n", "\t \x00\x1b", "é 中 🙂 \ud800", "\\n \\' \" '", '{"a": {"b": "{{ x }}"}}',
    "$(AWS_SECRET_ACCESS_KEY) $$(X) $ $", "a.sh", "# {% line %}",
]  # fmt: skip
SECRETS = {"AWS_SECRET_ACCESS_KEY": "hunter2", "JOB_NAME": "j", "JOB_COMPLETION_INDEX": "0"}


def expanded(word: str) -> str:
    """As Kubernetes expands a word of a container's command."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else SECRETS.get(match[1], match[0])

    return re.sub(r"\$\$|\$\((\w+)\)", value, word)


@pytest.mark.parametrize("text", TEXTS)
def test_text_as_a_template_renders_to_itself(text):
    assert SandboxedEnvironment().from_string(as_template(text)).render() == text


def test_template_of_our_own_is_rendered():
    assert SandboxedEnvironment().from_string(as_template(Template("{{ x }}"))).render(x=1) == "1"


@pytest.mark.parametrize("text", [text for text in TEXTS if text])
@pytest.mark.parametrize(("operator", "options"), [(StagePod, {}), (StageJob, {"nodes": 2}), (StageProcess, {})])
def test_operator_hands_the_stage_every_string_as_it_was_given(operator, options, text, context):
    given = {"recipe": f"@{text}", "overrides": f"[{text}]", "inputs": {"selected": text, "others": [text, "b"]}, "target": text}
    task = operator(task_id="t", stage="sft", **given, **options)
    task.render_template_fields(context | {"conn": None, "x": "rendered"})
    command = task.cmds if operator is StageProcess else [expanded(word) for word in task.cmds]
    assert command[command.index("sft") :] == [
        "sft", "--config", f"@{text}", "--config", f"[{text}]", "--input", f"selected={text}", "--input", f"others={text}",
        "--input", "others=b", "--output", text,
    ]  # fmt: skip
    assert task.target == text


def test_pod_expands_the_rendezvous_of_its_ranks(context):
    task = StageJob(task_id="t", stage="sft", recipe="@toy/sft-1", target="s3://b/sft/toy/1", nodes=2)
    task.render_template_fields(context)
    assert "--node-rank=0" in [expanded(word) for word in task.cmds]
