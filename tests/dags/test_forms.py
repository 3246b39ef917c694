"""What a user enters into a trigger form is data: it arrives in the stages' command lines as it was entered."""

import copy
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.definitions._internal.expandinput import ListOfDictsExpandInput
from airflow.sdk.exceptions import ParamValidationError

from operators import evaluations

SECRET = "hunter2"
PAYLOADS = {
    "connection": "a/{{ conn.x.password }}/b",
    "connection in letters": "{{ conn.x.password | list | join('.') }}",
    "variable": "{{ var.value.x }}",
    "nested": "{{ '{{ conn.x.password }}' }}",
    "raw": "{% raw %}{{ conn.x.password }}{% endraw %}",
    "statement": "{% for c in conn.x.password %}{{ c }}{% endfor %}",
    "comment": "a{# gone #}b",
    "unfinished": "{{ conn.x.password",
    "quotes": """'"{{ conn.x.password }}"' \\ \\n""",
    "lines": "one\r\ntwo {{ conn.x.password }}\n",
    "dollars": "$(AWS_SECRET_ACCESS_KEY) $$ ${HOME}",
}
DAGS = ("toy", "evaluate", "rollback")
FILLED = {"checkpoint": "s3://b/sft/toy/1", "benchmarks": ["arithmetic"], "model": "mine"}
"""For the params that a form requires."""


def text_params(dag) -> list[str]:
    """The params that can hold text, alone or in a list."""
    return [name for name in dag.params if {"string", "array"} & types_of(dag, name)]


def types_of(dag, name) -> set[str]:
    types = dag.params.get_param(name).schema.get("type", "string")
    return {types} if isinstance(types, str) else set(types)


def accepted(dag, name, payload):
    """The param's value that holds the payload, None where the form refuses every one."""
    listed = "array" in types_of(dag, name)
    for text in (payload, f"{payload} {{thinking}}"):
        try:
            return copy.copy(dag.params.get_param(name)).resolve([text] if listed else text)
        except ParamValidationError:
            continue
    return None


def context_of(dag, params, map_index=-1):
    """What Airflow hands a task, as far as templates read it."""
    run = SimpleNamespace(run_after=datetime(2026, 11, 24, 2, 0, tzinfo=UTC), run_id="manual", dag_id=dag.dag_id, conf=params)
    ti = SimpleNamespace(dag_id=dag.dag_id, task_id="t", map_index=map_index, run_id="manual", xcom_pull=lambda **_: "run-1")
    secrets = SimpleNamespace(x=SimpleNamespace(password=SECRET)), SimpleNamespace(value=SimpleNamespace(x=SECRET))
    return {
        "params": params, "dag_run": run, "run_id": "manual", "ti": ti, "dag": dag, "conn": secrets[0], "var": secrets[1],
    }  # fmt: skip


def commands(dag, params, monkeypatch) -> list[list[str]]:
    """Every stage's command line, rendered as Airflow does when a task starts."""
    rendered = []
    for task in dag.tasks:
        if task.is_mapped and "stage" in task.partial_kwargs:
            context = context_of(dag, params, map_index=0)
            monkeypatch.setattr(evaluations, "get_current_context", lambda context=context: context)
            mapped = copy.copy(task)
            planned = evaluations.plan.function() if task.task_id == "report" else [{"shard": "0/2"}]
            mapped.expand_input = ListOfDictsExpandInput(json.loads(json.dumps(planned)))
            mapped.render_template_fields(context)
            rendered.append([*context["task"].cmds, context["task"].target])
        elif hasattr(task, "cmds"):
            task = task.prepare_for_execution()
            task.render_template_fields(context_of(dag, params))
            rendered.append([*task.cmds, task.target])
    return rendered


def words(rendered) -> list[str]:
    """All strings of the command lines, with those inside of JSON layers."""
    flat = [word for command in rendered for word in command]
    layers = [json.loads(word) for word in flat if word.startswith("{") and word.endswith("}") and '":' in word]
    values = [value for layer in layers for value in layer.values()]
    return [*flat, *(text for value in values for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))]


@pytest.fixture(autouse=True)
def store(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://b")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("dag_id", DAGS)
def test_form_text_arrives_as_it_was_entered_or_is_refused(dags, dag_id, payload, monkeypatch):
    dag = dags[dag_id]
    names = text_params(dag)
    defaults = {name: FILLED.get(name) or copy.copy(dag.params.get_param(name)).resolve() for name in dag.params}
    assert names
    for name in names:
        value = accepted(dag, name, payload)
        if value is None:
            continue
        rendered = commands(dag, defaults | {name: value}, monkeypatch)
        text = value[0] if isinstance(value, list) else value
        assert any(text in word for word in words(rendered)), name
        assert SECRET not in str(rendered), name


def test_form_of_every_dag_takes_some_text_or_refuses_all(dags):
    """So that the test above cannot pass by refusing everything."""
    taken = {dag_id: [name for name in text_params(dags[dag_id]) if accepted(dags[dag_id], name, "{{ x }}")] for dag_id in DAGS}
    assert set(taken["evaluate"]) == {"checkpoint", "benchmarks"}
    assert taken["rollback"] == []
    assert {"questions__tokenizer", "questions__embedding_model", "responses_large__summary_prompt"} <= set(taken["toy"])


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_form_text_of_a_mapped_task_arrives_as_it_was_entered(dags, payload):
    dag = dags["deepdistill-32b"]
    value = f"{payload} {{thinking}}"
    params = {name: dag.params[name] for name in dag.params} | {"responses__summary_prompt": value}
    context = context_of(dag, params, map_index=0)
    mapped = copy.copy(dag.get_task("responses"))
    mapped.expand_input = ListOfDictsExpandInput([{"shard": "0/2", "step": ""}])
    mapped.render_template_fields(context)
    rendered = context["task"].cmds
    assert rendered[rendered.index("--shard") + 1] == "0/2"
    assert value in words([rendered])
    assert SECRET not in str(rendered)
