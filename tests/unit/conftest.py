import gc
import socket

import pytest
import urllib3  # noqa: F401  # binds a socket to look for IPv6 when it is first imported: here, before the guard is up

from tests.stage_fixtures import checkpoint, clean_environment, fresh_toy_stage

__all__ = ["checkpoint", "clean_environment", "fresh_toy_stage"]


def pytest_collection_finish() -> None:
    """The libraries that collection imported stay: the garbage collector need not walk them again after every few tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch):
    """A unit test opens no socket: what needs a server lies in tests/services."""

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            pytest.fail(f"a unit test opens a socket to {address}; move it to tests/services")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
