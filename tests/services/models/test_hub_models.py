"""Against a hub on loopback, by huggingface_hub itself."""

import hashlib
import json
import threading

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from stillhouse.errors import HubFailed, MissingInput
from stillhouse.models import hub_files, resolving
from stillhouse.models.references import parse

WEIGHTS = save({"weight": np.arange(40_000, dtype=np.float32)})
FILES = {
    "config.json": json.dumps({"model_type": "llama"}).encode(), "model.safetensors": WEIGHTS, "tokenizer.json": b"{}",
    "README.md": b"# A model", "pytorch_model.bin": b"a pickle", "onnx/model.safetensors": b"another format",
}  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No test waits for the hub to come back."""
    monkeypatch.setenv("STILLHOUSE_STORE_PATIENCE_S", "0.01")
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)


def fetched(text: str):
    return resolving.materialise(resolving.pin(parse(text)))


def test_fetch_brings_what_is_needed_to_load_the_model_and_no_pickle(hub):
    commit = hub.add("a/b", FILES)
    pinned = resolving.pin(parse("hf://a/b"))
    assert (pinned.reference, pinned.fingerprint) == (f"hf://a/b@{commit}", f"a/b@{commit}")
    directory = resolving.materialise(pinned)
    assert {path.name for path in directory.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_again_asks_nobody_also_offline(hub, monkeypatch):
    hub.add("a/b", FILES)
    first = fetched("hf://a/b@main")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.seen.clear()
    assert fetched("hf://a/b@main") == first
    assert hub.seen == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_fetch_offline_without_a_copy_says_how_to_get_one(hub, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingInput, match=r"TRANSFORMERS_OFFLINE is set, and .* does not hold it.*`stillhouse fetch hf://a/b`"):
        fetched("hf://a/b")


@pytest.mark.parametrize(
    ("text", "state", "line"),
    [
        ("hf://a/typo", {}, r"not found at http://127.0.0.1:\d+/a/typo, asked for with no HF_TOKEN"),
        ("hf://a/b@nope", {}, r"http://127.0.0.1:\d+/a/b has no revision nope"),
        ("hf://a/b", {"gated": True}, r"a/b is gated, and was asked for with no HF_TOKEN; accept its terms"),
        ("hf://a/b", {"private": True}, r"not found at .* or set HF_TOKEN if it is private"),
    ],
)
def test_fetch_of_what_may_not_be_read_is_one_line(hub, text, state, line):
    hub.add("a/b", FILES, **state)
    with pytest.raises(MissingInput, match=line) as caught:
        fetched(text)
    assert "\n" not in str(caught.value)


def test_fetch_with_a_token_reads_what_is_gated(hub, monkeypatch):
    hub.add("a/b", FILES, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_good_token")
    assert (fetched("hf://a/b") / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_with_an_unknown_token_says_so_without_showing_it(hub, monkeypatch):
    hub.add("a/b", FILES)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_secret")
    with pytest.raises(MissingInput, match="does not know the token in HF_TOKEN") as caught:
        fetched("hf://a/b")
    assert "wrong_secret" not in str(caught.value)


@pytest.mark.parametrize(("fault", "words"), [("429", r"asks for fewer requests \(429\)"), ("500", r"failed \(500\)")])
def test_pin_while_the_hub_is_busy_may_be_tried_again(hub, fault, words):
    hub.add("a/b", FILES)
    hub.faults = [{"match": "/api/models", "do": fault}]
    with pytest.raises(HubFailed, match=words) as caught:
        resolving.pin(parse("hf://a/b"))
    assert caught.value.exit_code == 75


def test_pin_where_nobody_listens_may_be_tried_again(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubFailed, match=r"http://127.0.0.1:9 does not answer"):
        resolving.pin(parse("hf://a/b"))


def test_fetch_cut_connection_goes_on_where_it_broke(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.add("a/b", FILES)
    hub.faults = [{"match": "GET .*/model.safetensors", "do": "cut", "times": 1}]
    assert (fetched("hf://a/b") / "model.safetensors").read_bytes() == WEIGHTS
    [resumed] = hub.ranges
    assert int(resumed.removeprefix("model.safetensors bytes=").rstrip("-")) > 0


def test_fetch_after_a_killed_process_goes_on_with_what_it_left(hub):
    hub.add("a/b", FILES)
    pinned = resolving.pin(parse("hf://a/b"))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    blobs = hub_files.hub_cache() / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest}.stillhouse").write_bytes(WEIGHTS[:100_000])
    assert (resolving.materialise(pinned) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == ["model.safetensors bytes=100000-"]


def test_fetch_damaged_bytes_are_refused_and_fetched_anew(hub):
    hub.add("a/b", FILES)
    hub.faults = [{"match": "GET .*/model.safetensors", "do": "flip", "times": 1}]
    with pytest.raises(HubFailed, match="model.safetensors arrived damaged"):
        fetched("hf://a/b")
    assert (fetched("hf://a/b") / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_by_many_at_once_downloads_once(hub):
    hub.add("a/b", FILES)
    pinned = resolving.pin(parse("hf://a/b"))
    threads = [threading.Thread(target=resolving.materialise, args=(pinned,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([seen for seen in hub.seen if seen.startswith("GET") and seen.endswith("/model.safetensors")]) == 1


def test_fetch_without_room_says_what_is_needed(hub, monkeypatch):
    hub.add("a/b", FILES)
    monkeypatch.setattr("stillhouse.models.cache.shutil.disk_usage", lambda _: type("Usage", (), {"free": 5})())
    with pytest.raises(MissingInput, match=r"160.\d kB are to be fetched, and .* has room for 5 B; free some, or set HF_HOME"):
        fetched("hf://a/b")


def test_fetch_of_pickles_alone_downloads_nothing(hub):
    hub.add("a/b", {name: data for name, data in FILES.items() if not name.startswith("model.")})
    with pytest.raises(MissingInput, match="its weights are pickles"):
        fetched("hf://a/b")
    assert [seen for seen in hub.seen if "/resolve/" in seen] == []


def test_branch_that_moves_between_two_tasks_of_a_run_is_the_same_commit_for_both(hub, tmp_path):
    root = tmp_path.as_uri()
    first = hub.add("a/b", FILES)
    student = resolving.pin_input("hf://a/b", f"{root}/sft/x/7")
    hub.add("a/b", {**FILES, "README.md": b"moved"})
    assert resolving.pin_input("hf://a/b", f"{root}/report/x/7").uri == student.uri == f"hf://a/b@{first}"
    assert resolving.pin_input("hf://a/b", f"{root}/sft/x/8").uri != student.uri


def test_fetched_for_a_run_pins_the_branch_for_its_tasks(hub, tmp_path):
    root = tmp_path.as_uri()
    first = hub.add("a/b", FILES)
    link, _ = resolving.fetched("hf://a/b", f"{root}/sft/x/7")
    hub.add("a/b", {**FILES, "README.md": b"moved"})
    assert link.uri == resolving.pin_input("hf://a/b", f"{root}/rl/x/7").uri == f"hf://a/b@{first}"


def test_partial_file_that_is_told_to_stop_keeps_what_it_has(hub):
    stopping = threading.Event()
    path = hub_files.hub_cache() / "partial"
    path.parent.mkdir(parents=True)
    with hub_files._PartialFile(path, stopping) as file:
        file.write(b"one")
        stopping.set()
        with pytest.raises(HubFailed, match="stopped"):
            file.write(b"two")
    assert path.read_bytes() == b"one"
