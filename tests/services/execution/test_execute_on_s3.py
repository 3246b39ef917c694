"""The tests of ``execute`` again, on a real S3 server."""

import pytest

from tests.unit.execution.test_execute import *  # noqa: F403 - every test there is a test here

pytestmark = pytest.mark.s3


@pytest.fixture
def root(s3_root) -> str:
    return s3_root
