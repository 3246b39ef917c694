"""One checkpoint on its way to the store, in the background, while the training goes on.

Every rank uploads its own files, several at a time. Once all ranks have, rank 0 uploads the list that completes the checkpoint, and
takes back the files of the one before: at any moment the store holds a whole checkpoint, or none was ever whole.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from stillhouse.errors import RankLost, StillhouseError
from stillhouse.execution import processes
from stillhouse.execution.announcements import announce, announced
from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.masking import one_line

SENDERS = 4
"""Files that a rank uploads at a time; a large file takes several connections itself."""
POLL_S = 0.1


class CheckpointUpload(threading.Thread):
    """Uploads one checkpoint. ``finish`` or ``cancel`` it before its files are removed."""

    def __init__(self, inputs: StageInputs, step: int, files: Sequence[Path], listing: Path, old: Iterable[Path]) -> None:
        """``files``: this rank's. ``listing``: rank 0 uploads it last, and then takes back ``old``."""
        super().__init__(name=f"checkpoint-{step}", daemon=True)
        self.error: Exception | None = None
        """Why the upload failed on this rank."""
        self.seconds: float | None = None
        """How long it took; None before it has ended."""
        self._inputs, self._step, self._files, self._listing, self._old = inputs, step, files, listing, list(old)
        self._cancelled = threading.Event()
        self._sent: list[Path] = []

    def run(self) -> None:
        """The thread."""
        begin = time.monotonic()
        try:
            self._send()
            announce(f"{self._step}/sent", "")
            if processes.rank() == 0 and self._all_sent():
                self._inputs.publish_part(self._listing)
                for file in self._old:
                    self._inputs.retract_part(file)
        except Exception as error:  # noqa: BLE001 - raised again by the training, on its own thread
            self.error = error
            self._take_back()
            with suppress(StillhouseError):
                announce(f"{self._step}/sent", one_line(error))
        self.seconds = time.monotonic() - begin

    def finish(self, limit_s: float | None = None) -> None:
        """Wait until the checkpoint is whole in the store, or for so many seconds. Raises what the upload raised."""
        self.join(limit_s)
        if self.is_alive():
            self.cancel()
        if self.error is not None:
            raise self.error

    def cancel(self) -> None:
        """Upload no further file, and wait for those that are under way: their directory is about to be removed."""
        self._cancelled.set()
        self.join()

    def _send(self) -> None:
        """Upload this rank's files; if one fails, those that wait are left out."""
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(self._send_one, self._files))

    def _send_one(self, file: Path) -> None:
        if self._cancelled.is_set() or self.error is not None:
            return
        try:
            self._inputs.publish_part(file)
        except Exception as error:
            self.error = self.error or error
            raise
        self._sent.append(file)

    def _all_sent(self) -> bool:
        """Wait for the other ranks. Returns False if the upload was cancelled; raises RankLost if one of them failed."""
        waiting = set(range(1, processes.count()))
        while waiting and not self._cancelled.is_set():
            for rank in sorted(waiting):
                problem = announced(f"{self._step}/sent", rank)
                if problem:
                    msg = f"rank {rank} did not upload its share of checkpoint {self._step}: {problem}"
                    raise RankLost(msg)
                if problem is not None:
                    waiting.discard(rank)
            if waiting:
                time.sleep(POLL_S)
        return not self._cancelled.is_set()

    def _take_back(self) -> None:
        """Remove what was uploaded: its room is the next try's."""
        with suppress(StillhouseError):  # a store that is gone keeps it; the next try removes what it does not use
            for file in self._sent:
                self._inputs.retract_part(file)
