"""The tests of reuse again, on a real S3 server."""

import pytest

from tests.unit.artifacts.test_reuse import *  # noqa: F403 - every test there is a test here

pytestmark = pytest.mark.s3


@pytest.fixture
def root(s3_root) -> str:
    return s3_root
