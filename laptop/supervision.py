"""Report and restart services that die while a run is followed."""

import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from laptop import processes, services
from laptop.settings import Laptop
from stillhouse.errors import ServiceFailed

T = TypeVar("T")

RESTARTS = 3
LINE_CHARS = 200


class Supervisor:
    """Restarts the services that run now if they die."""

    def __init__(self, laptop: Laptop, say: Callable[[str], None]) -> None:
        self._laptop, self._say = laptop, say
        self._restarts: Counter[str] = Counter()
        self._patience = 0.0

    def revive(self) -> bool:
        """Restart services that died. Returns whether one was started so recently that it may not answer yet.

        Raises ServiceFailed, with the last line of its log, for a service that keeps dying.
        """
        for service in services.services(self._laptop):
            if processes.find(self._laptop, service.name) is None:
                self._revive(service.name)
        return time.monotonic() < self._patience

    def call(self, ask: Callable[[], T], otherwise: T) -> T:
        """The result of ``ask``; ``otherwise`` while a service is being restarted. Any other failure is raised."""
        self.revive()
        try:
            return ask()
        except ServiceFailed:
            if not self.revive():
                raise
            return otherwise

    def _revive(self, name: str) -> None:
        log = self._laptop.log(name)
        if self._restarts[name] == RESTARTS:
            msg = f"{name} died {RESTARTS + 1} times: {services.last_line(self._laptop, name)[:LINE_CHARS]}; read {log}"
            raise ServiceFailed(msg)
        self._restarts[name] += 1
        self._say(f"{name} died, its log is {log}: starting it again")
        services.start_one(self._laptop, name)
        self._patience = time.monotonic() + services.READY_WITHIN_S
