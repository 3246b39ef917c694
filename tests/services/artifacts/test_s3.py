"""The S3 store against a server that loses replies, conflicts, cuts and flips."""

import json
import threading

import pytest

from stillhouse import testing
from stillhouse.artifacts import claiming, integrity, s3, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import DamagedArtifact, StoreFailed, StoreRefused
from stillhouse.execution.execute import execute
from stillhouse.vocabulary.rows import Question
from tests.fakes.s3 import serving
from tests.unit import toy_stage

ROOT = "s3://stillhouse"
OUTPUT = f"{ROOT}/toy_stage/toy/1"


@pytest.fixture(scope="module")
def served():
    with serving() as server:
        yield server
    s3._s3.cache_clear()


@pytest.fixture
def fake(served, monkeypatch):
    variables = {"AWS_ENDPOINT_URL": served.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "20")
    if s3._s3.cache_info().currsize == 0 or s3._s3().meta.endpoint_url != served.url:
        s3._s3.cache_clear()
    served.forget()
    return served


@pytest.fixture
def questions(fake) -> str:
    uri = f"{ROOT}/questions/toy/1"
    testing.publish(testing.questions(4), Question, uri)
    return uri


def run(questions: str) -> bool:
    """Run the toy stage; whether it was skipped."""
    return execute(toy_stage, toy_stage.Config(), {"questions": questions}, OUTPUT).skipped


def rows(uri: str, scratch) -> int:
    return tables.count(integrity.fetch(uri, scratch))


@pytest.mark.parametrize("do", ["lost", "409", "500", "503", "bad-digest"])
@pytest.mark.parametrize("match", ["manifest.json", "claim.json", "part-00002", "latest.json"])
def test_put_that_fails_once_is_made_up_for(fake, questions, tmp_path, do, match):
    fake.faults = [{"method": "PUT", "match": f"toy_stage.*{match}", "do": do, "times": 1}]
    assert not run(questions)
    assert rows(OUTPUT, tmp_path) == 4
    assert manifests.latest(OUTPUT) == OUTPUT
    assert claiming.read(OUTPUT) == (None, None)
    assert sorted(store.store_of(OUTPUT).names(OUTPUT)) == sorted([*manifests.load(OUTPUT).stored.values(), "manifest.json"])


@pytest.mark.parametrize("do", ["200", "html", "307"])
@pytest.mark.parametrize(
    ("method", "match"),
    [
        ("GET", "list-type"), ("GET", "questions.*manifest.json"), ("GET", "questions.*part-"), ("HEAD", "questions.*part-"),
        ("PUT", "toy_stage.*claim"), ("PUT", "toy_stage.*part-00001"), ("PUT", "toy_stage.*manifest.json"),
    ],
)  # fmt: skip
def test_reply_that_is_not_the_stores_is_asked_for_again(fake, questions, tmp_path, do, method, match):
    fake.faults = [{"method": method, "match": match, "do": do, "times": 1}]
    assert not run(questions)
    assert rows(OUTPUT, tmp_path) == 4


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("html", "the reply is not S3's .text/html, no ETag.: something between here and the store answers in its place"),
        ("307", "TemporaryRedirect"),
        ("skew", "RequestTimeTooSkewed.*; this machine's clock and the store's differ: set them by NTP"),
    ],
)  # fmt: skip
def test_reply_that_is_never_the_stores_is_an_outage_and_no_damage(fake, questions, monkeypatch, do, said):
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "0.3")
    fake.faults = [{"match": "questions/toy/1/manifest.json", "do": do}]
    with pytest.raises(StoreFailed, match=said) as refused:
        run(questions)
    assert "max retries" not in str(refused.value)


def test_pointer_that_cannot_be_written_is_written_by_the_next_skip(fake, questions, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "0.3")
    fake.faults = [{"method": "PUT", "match": "toy_stage/toy/latest.json", "do": "500"}]
    with pytest.raises(StoreFailed):
        run(questions)
    assert manifests.latest(OUTPUT) is None
    fake.faults = []
    assert run(questions)
    assert manifests.latest(OUTPUT) == OUTPUT
    assert claiming.read(OUTPUT) == (None, None)


@pytest.mark.parametrize("do", ["flip", "short"])
def test_part_that_is_damaged_at_rest_is_refused_in_one_line(fake, questions, do):
    fake.faults = [{"method": "GET", "match": "questions.*part-", "do": do}, {"method": "HEAD", "match": "part-", "do": do}]
    with pytest.raises((DamagedArtifact, StoreFailed), match=r"part-00000.*") as refused:
        run(questions)
    assert "\n" not in str(refused.value)
    assert manifests.find(OUTPUT) is None


@pytest.mark.parametrize("do", ["flip", "cut"])
def test_part_that_is_damaged_on_the_way_once_is_fetched_again(fake, questions, tmp_path, do):
    fake.faults = [{"method": "GET", "match": "questions.*part-.*parquet", "do": do, "times": 1}]
    assert not run(questions)
    assert rows(OUTPUT, tmp_path) == 4


PAGES = ["html", "html-etag", "xhtml", "nothing", "html-404", "text-404", "to-login"]
PLACES = [
    "toy_stage.*part-00002", "toy_stage.*manifest.json", "toy_stage.*claim.json", "questions/toy/1/manifest", "questions.*part-",
    "list-type", "uploads",
]  # fmt: skip
"""Where a fault is met: the requests for these keys, and the listings."""


@pytest.mark.parametrize("do", PAGES)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE", "HEAD"])
def test_page_of_a_proxy_in_place_of_any_reply_is_never_believed(fake, questions, tmp_path, method, do):
    """Each reply is a page once; the result is the undisturbed one."""
    fake.faults = [{"method": method, "match": place, "do": do, "times": 1} for place in PLACES]
    assert not run(questions)
    assert rows(OUTPUT, tmp_path) == 4
    assert claiming.read(OUTPUT) == (None, None)
    assert [problem for _, problem in integrity.problems(OUTPUT, deep=True)] == [None, None]
    assert any(fault["times"] == 0 for fault in fake.faults)


def test_redirect_of_every_head_is_an_outage_in_one_line(fake, questions, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "0.3")
    fake.faults = [{"method": "HEAD", "do": "307"}]
    with pytest.raises(StoreFailed, match="part-00000"):
        run(questions)


def test_page_that_an_artifact_holds_is_no_proxys(fake):
    fake.objects["report/a/1/report.html"] = b"<!doctype html>"
    fake.faults = [{"match": "report.html", "do": "html-etag", "times": 2}]
    assert store.store_of(ROOT).read(f"{ROOT}/report/a/1/report.html").startswith(b"<!doctype html>")


@pytest.mark.parametrize(("do", "says"), [
    ("403", "AccessDenied"), ("501", "If-None-Match"), ("too-long", "KeyTooLong"), ("archived", "InvalidObjectState"),
    ("html-413", "413"),
])  # fmt: skip
def test_refusal_is_not_tried_again(fake, questions, do, says):
    fake.faults = [{"method": "PUT", "match": "toy_stage", "do": do}]
    before = len(fake.seen)
    with pytest.raises(StoreRefused, match=says):
        run(questions)
    assert len([line for line in fake.seen[before:] if line.startswith("PUT")]) == 1


def test_expired_credentials_are_a_failure_that_may_pass_and_not_waited_for(fake, questions):
    fake.faults = [{"do": "expired"}]
    before = len(fake.seen)
    with pytest.raises(StoreFailed, match="get new credentials"):
        run(questions)
    assert len(fake.seen) == before + 1


def test_absence_whose_reply_is_cut_off_is_absence(fake):
    uri = f"{ROOT}/questions/none/1/manifest.json"
    fake.faults.append({"do": "cut", "method": "GET", "match": "manifest.json", "times": 1})
    assert store.store_of(uri).read(uri) is None
    assert fake.faults[0]["times"] == 0


def test_port_that_nobody_listens_on_is_tried_for_the_patience(fake, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "4")
    s3._s3.cache_clear()
    with pytest.raises(StoreFailed, match="127.0.0.1:9"):
        store.store_of(ROOT).read(f"{ROOT}/a/b")
    assert "the store does not answer" in capsys.readouterr().err
    s3._s3.cache_clear()


def test_bucket_that_is_missing_is_refused(fake):
    with pytest.raises(StoreRefused, match="NoSuchBucket"):
        store.store_of("s3://nowhere/a").read("s3://nowhere/a/b")


def test_outage_longer_than_the_patience_is_a_failure_that_may_pass(fake, questions, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "0.5")
    fake.faults = [{"do": "503"}]
    with pytest.raises(StoreFailed, match="SlowDown") as failed:
        run(questions)
    assert failed.value.exit_code == 75


def test_server_that_is_away_for_a_while_costs_that_while(fake, questions, tmp_path):
    """Gone before the run, and back once the run has said that it waits."""
    fake.faults = [{"method": "PUT", "match": "toy_stage", "do": "cut-off"}]
    done: list[bool] = []
    worker = threading.Thread(target=lambda: done.append(run(questions)))
    worker.start()
    while sum("PUT" in line and "toy_stage" in line for line in fake.seen) < 4:
        worker.join(0.05)
    assert done == []
    fake.faults = []
    worker.join()
    assert done == [False]
    assert rows(OUTPUT, tmp_path) == 4


@pytest.mark.parametrize("do", ["lost", "500", *PAGES])
@pytest.mark.parametrize("match", ["uploads$", "partNumber=2", r"x\?uploadId"])
def test_large_upload_that_fails_once_or_meets_a_page_of_a_proxy_is_made_up_for(fake, tmp_path, monkeypatch, do, match):
    monkeypatch.setattr(s3, "SINGLE_BYTES", 1000)
    (tmp_path / "x").write_bytes(bytes(range(250)) * 17)
    fake.faults = [{"match": match, "do": do, "times": 1}]
    store.store_of(ROOT).upload(tmp_path / "x", f"{ROOT}/a/x", only_if_absent=True)
    assert fake.objects["a/x"] == (tmp_path / "x").read_bytes()
    assert fake.faults[0]["times"] == 0


def test_upload_in_pieces_of_a_killed_attempt_is_aborted_by_the_next(fake, questions):
    fake.uploads["left"] = ("toy_stage/toy/1/model.safetensors", {1: b"x"})
    fake.uploads["other"] = ("toy_stage/toy/10/model.safetensors", {1: b"x"})
    run(questions)
    assert list(fake.uploads) == ["other"]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("target", ["1//etc/cron.d/x", "1/../../../x", "1/..", "1/a\\b"])
def test_artifact_of_a_stranger_writes_nothing_outside_the_scratch(fake, questions, tmp_path, target, listed):
    """A manifest, or a key, that names a file elsewhere on the reader's disk."""
    name = target.removeprefix("1/")
    fake.objects.update({key.replace("toy/1", "evil/1"): data for key, data in fake.objects.items() if "questions" in key})
    fake.objects[f"questions/evil/{target}"] = b"owned"
    if listed:
        manifest = manifests.load(questions)
        files = manifest.files | {name: manifests.File(sha256="00", bytes=5)}
        fake.objects["questions/evil/1/manifest.json"] = manifests.serialised(manifest.model_copy(update={"files": files}))
        with pytest.raises(DamagedArtifact, match="nothing was read"):
            run(f"{ROOT}/questions/evil/1")
    else:
        with pytest.raises(DamagedArtifact, match="nothing was read"):
            store.store_of(ROOT).fetch(f"{ROOT}/questions/evil/1", tmp_path)
    assert manifests.find(OUTPUT) is None


def test_manifest_with_an_unsigned_extra_file_is_refused(fake, questions):
    document = json.loads(fake.objects["questions/toy/1/manifest.json"])
    document["files"]["/etc/passwd"] = {"sha256": "00", "bytes": 5}
    fake.objects["questions/toy/1/manifest.json"] = json.dumps(document).encode()
    with pytest.raises(DamagedArtifact, match="edited or damaged"):
        run(questions)


def test_tidy_of_a_store_that_goes_away_is_left_to_the_next_attempt(fake, questions):
    fake.faults = [{"method": "GET", "match": "uploads", "do": "cut-off"}]
    assert not run(questions)


def test_large_upload_that_another_attempt_aborted_is_a_failure_that_may_pass(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "SINGLE_BYTES", 1000)
    monkeypatch.setattr(s3, "_complete", lambda *given, complete=s3._complete: (fake.uploads.clear(), complete(*given))[1])
    (tmp_path / "x").write_bytes(b"y" * 5000)
    with pytest.raises(StoreFailed, match="NoSuchUpload"):
        store.store_of(ROOT).upload(tmp_path / "x", f"{ROOT}/a/x")


def test_holds_is_about_that_very_key(fake):
    fake.objects.update({"a/x.jsonl": b"1", "b/x.jsonl.zst": b"1"})
    there = store.store_of(ROOT)
    assert [there.holds(f"{ROOT}/{key}") for key in ("a/x.jsonl", "b/x.jsonl", "a")] == [True, False, False]
