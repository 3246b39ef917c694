"""The tests of the store again, on a real S3 server, and what only S3 refuses."""

import pytest

from stillhouse.artifacts import s3
from stillhouse.errors import StoreFailed, StoreRefused
from tests.unit.artifacts.test_store import *  # noqa: F403 - every test there is a test here

pytestmark = pytest.mark.s3


@pytest.fixture
def root(s3_root) -> str:
    return s3_root


def test_s3_wrong_secret_is_refused_at_once(s3_root, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3._s3.cache_clear()
    with pytest.raises(StoreRefused, match="check AWS_ENDPOINT_URL, the credentials and the bucket"):
        s3.S3Store().write(f"{s3_root}/a", b"")
    s3._s3.cache_clear()


def test_s3_no_such_bucket_is_refused_at_once(s3_root):
    with pytest.raises(StoreRefused, match="no-such-bucket"):
        s3.S3Store().read("s3://no-such-bucket/a/b")


def test_s3_no_server_is_a_store_failure(monkeypatch):
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    s3._s3.cache_clear()
    with pytest.raises(StoreFailed, match="http://127.0.0.1:9"):
        s3.S3Store().read("s3://bucket/a")
    s3._s3.cache_clear()
