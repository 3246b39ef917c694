import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.browsing.browser import Browser, listening
from stillhouse.browsing.library import opened
from stillhouse.browsing.listing import RowFilters, list_page
from stillhouse.browsing.marks import Marking
from stillhouse.browsing.row_view import row_view
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.rows import Mark
from tests.browser import chromium, served, tab
from tests.unit.browsing.views import publish_view

__all__ = ["chromium", "tab"]

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> {} $x^2$"


def answer(url, data=None, **headers):
    """Status, headers and body of a request."""
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_view_filters_opens_a_row_and_compares_two_answers(tmp_path, tab):
    uris = publish_view(tmp_path)
    with served(Browser([uris["verified"], uris["graded"]])) as address:
        tab.goto(address)
        assert tab.locator("tr.row").count() == 24
        tab.select_option("select[name=kind]", "wrong")
        tab.wait_for_url("**kind=wrong**")
        assert tab.locator("tr.row").count() == 8
        tab.keyboard.press("j")
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/row/0**")
        boxes = tab.locator("input[name=compare]")
        boxes.nth(0).check()
        boxes.nth(2).check()
        tab.get_by_role("button", name="compare", exact=True).click()
        tab.wait_for_url("**compare=2**")
        assert tab.locator("del").all_inner_texts() == ["large"]
        assert tab.locator("ins").all_inner_texts() == ["small"]
        tab.keyboard.press("c")
        tab.locator("#status", has_text="copied").wait_for()
        assert '"reference_answer": "7"' in tab.evaluate("navigator.clipboard.readText()")
        assert tab.problems == []


def test_view_runs_nothing_that_a_model_wrote(tmp_path, tab):
    uris = publish_view(tmp_path, text=HOSTILE, source="<script>document.title='owned'</script>")
    with served(Browser([uris["verified"]])) as address:
        for path in ("", "row/3", "row/3?compare=0&compare=1", "?text=<script>document.title='owned'</script>"):
            tab.goto(address + path)
            assert tab.title().startswith("verified toy")
            assert tab.locator("main script, main img").count() == 0
        assert [url for url in tab.requests if not url.startswith(address)] == []
        assert tab.problems == []


def test_review_marks_by_keys_and_publishes(tmp_path, tab):
    reviewed = publish_view(tmp_path)["verified"]
    marking = Marking(f"{tmp_path}/marks/first/1", reviewed, "ann")
    with served(Browser([reviewed], marking)) as address:
        tab.goto(address)
        tab.get_by_text("Begin with the first row here").click()
        for number, key in enumerate("rwr"):
            tab.wait_for_url(f"**/row/{number}")
            tab.keyboard.press(key)
        tab.wait_for_url("**/row/3")
        tab.goto(address)
        assert tab.locator("tr.row td:nth-child(2)").all_inner_texts()[:4] == ["right", "wrong", "right", ""]
    marking.publish()
    marks = sorted(tables.read(tmp_path / "marks" / "first" / "1", Mark), key=lambda mark: (mark.question_id, mark.sample_index))
    assert sorted(mark.right for mark in marks) == [False, True, True]


def test_view_answers_only_who_knows_its_address(tmp_path):
    uris = publish_view(tmp_path)
    with served(Browser([uris["verified"]])) as address:
        port = address.split("/")[2].split(":")[1]
        assert answer(f"http://127.0.0.1:{port}/")[0] == 404
        assert answer(f"http://127.0.0.1:{port}/wrong-token/")[0] == 404
        assert answer(address, Host="evil.example")[0] == 400, "a name of another site that was made to point here"
        status, headers, _ = answer(address, Host=f"localhost:{port}")
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_review_takes_marks_from_its_own_page_only(tmp_path):
    reviewed = publish_view(tmp_path)["verified"]
    marking = Marking(f"{tmp_path}/marks/first/1", reviewed, "ann")
    with served(Browser([reviewed], marking)) as address:
        form = answer(f"{address}mark/0", b'{"right": true}', Content_Type="text/plain")
        assert form[0] == 400, "what a form of another site can send"
        assert answer(f"{address}mark/99", b'{"right": true}', Content_Type="application/json")[0] == 409
        assert answer(f"{address}mark/0", b"not json", Content_Type="application/json")[0] == 400
        assert marking.marks == {}
    with served(Browser([reviewed])) as address:
        assert answer(f"{address}mark/0", b'{"right": true}', Content_Type="application/json")[0] == 400, "a view takes no marks"


@pytest.mark.parametrize("path", ["row/99", "?section=nosuch"])
def test_view_of_what_is_not_there_is_one_line(tmp_path, path):
    with served(Browser([publish_view(tmp_path)["verified"]])) as address:
        status, _, text = answer(address + path)
        assert status == 404
        assert "Traceback (most recent" not in text
        assert "verified" in text


def test_port_that_is_taken_is_refused():
    with listening(0) as listener, pytest.raises(BadConfig, match="choose another one"):
        listening(listener.getsockname()[1])


def test_view_command_prints_its_address_and_ends_quietly_at_ctrl_c(tmp_path):
    uris = publish_view(tmp_path)
    command = [sys.executable, "-m", "stillhouse", "view", uris["verified"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        assert answer(address)[0] == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.s3
def test_view_and_review_on_s3(s3_root):
    uris = publish_view(s3_root)
    library = opened([uris["verified"], uris["graded"]])
    assert [row["row_number"] for row in list_page(library, RowFilters(level="2", kind="wrong"), 0).rows] == [3, 9, 15, 21]
    view = row_view(library, 15)
    assert len(view.answers) == 4
    marking = Marking(f"{s3_root}/marks/first/1", uris["verified"], "ann")
    marking.mark(view, right=True)
    assert len(Marking(f"{s3_root}/marks/first/1", uris["verified"], "ann").marks) == 1
    marking.publish()
    assert manifests.load(f"{s3_root}/marks/first/1").rows == 1
