import httpx
import pytest

from laptop import airflow as airflow_module
from laptop.airflow import Airflow
from stillhouse.errors import ServiceFailed


@pytest.fixture
def connect(machine, monkeypatch):
    """A client of a server that gives these answers in turn after the login; each a response or an exception to raise."""
    monkeypatch.setattr(airflow_module, "ASK_EVERY_S", 0)
    real = httpx.Client

    def connected(*answers) -> tuple[Airflow, list[str]]:
        asked: list[str] = []
        script = iter([httpx.Response(200, json={"access_token": "t"}), *answers])

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url.path}")
            given = next(script)
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(httpx, "Client", lambda **options: real(transport=httpx.MockTransport(answer), **options))
        return Airflow(machine, "retrain"), asked

    return connected


def test_question_that_a_busy_server_failed_on_is_asked_again(connect):
    busy = [httpx.Response(500, text="database is locked"), httpx.ReadTimeout("slow")]
    airflow, asked = connect(*busy, httpx.Response(200, json={"state": "running"}))
    assert airflow.state("r1") == "running"
    assert asked[1:] == ["GET /api/v2/dags/retrain/dagRuns/r1"] * 3


def test_question_that_is_never_answered_says_what_to_do(connect):
    airflow, asked = connect(*[httpx.ConnectError("refused")] * 4)
    with pytest.raises(ServiceFailed, match="does not answer .refused.; `make down` and try again"):
        airflow.state("r1")
    assert len(asked) == 1 + airflow_module.TRIES


def test_order_that_failed_is_given_once(connect):
    airflow, asked = connect(httpx.Response(500, text="database is locked"))
    with pytest.raises(ServiceFailed, match=r"refused POST /api/v2/dags/retrain/dagRuns \(500\): database is locked"):
        airflow.trigger("r1", {})
    assert len(asked) == 2


def test_refusal_has_the_servers_words_and_is_not_asked_again(connect):
    airflow, asked = connect(httpx.Response(404, json={"detail": "no such run"}))
    with pytest.raises(ServiceFailed, match="no such run"):
        airflow.state("r1")
    assert len(asked) == 2


def test_dag_that_does_not_load_is_refused_with_its_last_line(connect):
    errors = [{"filename": "retrain.py", "timestamp": "2026-01-02T00:00:01Z", "stack_trace": "Traceback\nNameError: x\n"}]
    airflow, _ = connect(httpx.Response(404), httpx.Response(200, json={"import_errors": errors}))
    with pytest.raises(ServiceFailed, match="^retrain.py does not load: NameError: x$"):
        airflow.wait_for_dag("2026-01-02T00:00:00")


def test_order_of_tasks_is_each_after_those_it_waits_for(connect):
    after = {"last": [], "middle": ["last"], "first": ["middle", "last"]}
    tasks = [{"task_id": name, "downstream_task_ids": names} for name, names in after.items()]
    airflow, _ = connect(httpx.Response(200, json={"tasks": tasks}))
    assert airflow.order() == ["first", "middle", "last"]
