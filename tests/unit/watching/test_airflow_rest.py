import httpx
import pytest

from laptop.airflow import Airflow
from laptop.settings import Laptop
from stillhouse.errors import BadConfig, ServiceFailed
from stillhouse.watching import airflow_rest
from stillhouse.watching.airflow_rest import AirflowRest, TaskState, error_in


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """A client of a server that gives these answers in turn after the login; each a response or an exception to raise."""
    monkeypatch.setattr(airflow_rest, "ASK_EVERY_S", 0)
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
        return Airflow(Laptop("file", tmp_path, {"AIRFLOW_PORT": 1}), "retrain"), asked

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
    assert len(asked) == 1 + airflow_rest.TRIES


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


@pytest.mark.parametrize(
    ("filename", "stack_trace"),
    [
        ("wrong_profiles.py", "BadConfig: @/own/wrong/profile.yaml: titel: no such field"),
        ("retrain.py", "BadConfig: profile wrong: no such timetable"),
    ],
)
def test_dag_is_there_whatever_is_wrong_with_other_profiles(connect, filename, stack_trace):
    error = {"filename": filename, "timestamp": "2026-01-02T00:00:01Z", "stack_trace": stack_trace}
    errors = httpx.Response(200, json={"import_errors": [error]})
    read = httpx.Response(200, json={"last_parsed_time": "2026-01-02T00:00:02Z", "has_import_errors": True})
    airflow, asked = connect(httpx.Response(404), errors, read)
    airflow.wait_for_dag("2026-01-02T00:00:00")
    assert len(asked) == 4


def test_dag_of_a_wrong_profile_is_refused_in_the_words_of_the_check(connect):
    trace = "BadConfig: @/own/retrain/profile.yaml: titel: no such field"
    errors = [{"filename": "wrong_profiles.py", "timestamp": "2026-01-02T00:00:01Z", "stack_trace": trace}]
    airflow, _ = connect(httpx.Response(404), httpx.Response(200, json={"import_errors": errors}))
    with pytest.raises(ServiceFailed, match="^wrong_profiles.py does not load: BadConfig: .*titel: no such field$"):
        airflow.wait_for_dag("2026-01-02T00:00:00")


def test_order_of_tasks_is_each_after_those_it_waits_for(connect):
    after = {"last": [], "middle": ["last"], "first": ["middle", "last"]}
    tasks = [{"task_id": name, "downstream_task_ids": names} for name, names in after.items()]
    airflow, _ = connect(httpx.Response(200, json={"tasks": tasks}))
    assert airflow.order() == ["first", "middle", "last"]


def test_tasks_beyond_one_page_are_all_read(connect):
    instance = {"task_id": "responses", "state": None, "duration": None, "try_number": 0, "pool": "gpu", "pool_slots": 4}
    shards = [instance | {"map_index": n} for n in range(130)]
    pages = [{"task_instances": shards[:100]}, {"task_instances": shards[100:]}]
    airflow, asked = connect(*[httpx.Response(200, json=page) for page in pages])
    tasks = airflow.tasks("r1")
    assert [task.map_index for task in tasks] == list(range(130))
    assert tasks[0] == TaskState("responses", "waiting", 0.0, 0, 0, "gpu", 4)
    assert len(asked) == 3


def test_latest_of_a_dag_that_never_ran_is_refused(connect):
    airflow, _ = connect(httpx.Response(200, json={"dag_runs": []}))
    with pytest.raises(BadConfig, match="DAG retrain has no run yet"):
        airflow.latest()


def test_wrong_login_says_what_to_check(connect):
    airflow, _ = connect(httpx.Response(401, json={"detail": "Invalid credentials"}))
    with pytest.raises(ServiceFailed, match=r"\(401\): Invalid credentials; check the user and password, or the token"):
        airflow.state("r1")


def test_server_that_is_no_airflow_is_named(monkeypatch):
    real = httpx.Client
    answer = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    monkeypatch.setattr(httpx, "Client", lambda **options: real(transport=answer, **options))
    with pytest.raises(ServiceFailed, match="http://host does not answer as Airflow 3 does"):
        AirflowRest("http://host/", "retrain", "").state("r1")


def test_error_in_is_the_raised_exception_on_one_line_not_its_cause():
    detail = [{"exc_value": "no program stillhouse:\n  point to it"}, {"exc_value": "[Errno 2] No such file"}]
    log = [{"event": "started"}, {"event": "Task failed", "error_detail": detail}, {"event": "after"}]
    assert error_in(log) == "no program stillhouse: point to it"


def test_error_in_without_exception_is_the_last_event():
    assert error_in([{"event": "started"}, "a plain line", {"event": "killed"}, {"level": "info"}]) == "killed"


def test_task_that_runs_has_the_seconds_since_its_start(connect):
    instance = {"task_id": "sft-1", "state": "running", "duration": None, "try_number": 1, "start_date": "2026-01-02T00:00:00Z"}
    ended = instance | {"duration": 61.0, "end_date": "2026-01-02T00:01:01Z"}
    airflow, _ = connect(httpx.Response(200, json={"task_instances": [instance, ended]}))
    running, done = airflow.tasks("r1")
    assert running.seconds > 24 * 3600
    assert done.seconds == 61.0
