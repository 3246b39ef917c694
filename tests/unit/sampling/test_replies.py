"""What a reply means, word by word; the server's misdeeds are in ``test_openai.py``."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stillhouse.errors import EngineFailed
from stillhouse.sampling.engine import Completion
from stillhouse.sampling.replies import KINDS, Failure, read_error, read_reply, retry_after_s


def success(**choice):
    return json.dumps({"choices": [{"message": {"content": "7"}, "finish_reason": "stop", **choice}]}).encode()


def test_read_reply_without_usage_has_no_tokens():
    assert read_reply(200, {}, success()) == Completion("7", "stop", 0, 0)


@pytest.mark.parametrize("message", [{"content": "7", "reasoning": "3 + 4"}, {"content": "7", "reasoning_content": "3 + 4"}])
def test_read_reply_thinking_in_a_field_of_its_own_is_put_in_tags(message):
    assert read_reply(200, {}, success(message=message)).text == "<think>3 + 4</think>7"


@pytest.mark.parametrize("content", ["", None])
def test_read_reply_cut_in_its_thinking_leaves_it_open(content):
    message = {"content": content, "reasoning_content": "3 + 4 is"}
    assert read_reply(200, {}, success(message=message, finish_reason="length")).text == "<think>3 + 4 is"


def test_read_reply_thinking_that_a_proxy_repeats_in_the_content_is_there_once():
    message = {"content": "<think>3 + 4</think>7", "reasoning_content": "3 + 4"}
    assert read_reply(200, {}, success(message=message)).text == "<think>3 + 4</think>7"


def test_read_reply_empty_text_is_an_answer_of_nothing():
    assert read_reply(200, {}, success(message={"content": ""})) == Completion("", "stop", 0, 0)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", "bad_json"),
        (200, b"[]", "empty_choices"),
        (200, b'{"choices": null}', "empty_choices"),
        (200, b'{"choices": [null]}', "empty_choices"),
        (200, success(message=None), "empty_choices"),
        (200, success(finish_reason="content_filter"), "filtered"),
        (400, b'{"error": {"code": "context_length_exceeded", "message": "no"}}', "context_overflow"),
        (400, b'{"error": {"message": "max_tokens=9 cannot be greater than max_model_len=8."}}', "context_overflow"),
        (400, b'{"error": "no"}', "bad_request"),
        (413, b"too large", "bad_request"),
        (422, b'{"detail": [{"msg": "no"}]}', "bad_request"),
        (408, b"", "timeout"),
        (429, b"", "rate_limited"),
        (500, b"<html>", "server_error"),
        (503, b"", "unavailable"),
    ],
)
def test_read_reply_failure_has_its_kind(status, body, kind):
    found = read_reply(status, {}, body)
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert found.kind in KINDS


@pytest.mark.parametrize(("status", "hint"), [(401, "API_KEY"), (403, "API_KEY"), (404, "model's name")])
def test_read_reply_that_no_request_could_change_is_raised(status, hint):
    with pytest.raises(EngineFailed, match=f"HTTP {status}: 'no'; .*{hint}"):
        read_reply(status, {}, b"no")


def test_read_reply_detail_is_one_short_line():
    found = read_reply(500, {}, b"line\n" * 1000)
    assert "\n" not in found.detail
    assert len(found.detail) < 300


@pytest.mark.parametrize(("value", "expected"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), (None, None), ("soon", None)])
def test_retry_after_is_seconds(value, expected):
    assert retry_after_s(value) == expected


def test_retry_after_may_be_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < retry_after_s(later) <= 60
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ConnectTimeout("slow"), "unreachable"),
        (httpx.ReadError("reset"), "disconnected"),
        (httpx.RemoteProtocolError("closed"), "disconnected"),
        (TimeoutError(), "timeout"),
    ],
)
def test_read_error_has_its_kind(error, kind):
    assert read_error(error).kind == kind


def test_read_error_that_is_a_bug_is_raised():
    with pytest.raises(KeyError):
        read_error(KeyError("x"))
