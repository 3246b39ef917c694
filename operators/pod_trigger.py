"""Waits for a stage's pod without a worker: first for a queue's admission, then for its start, then for its end."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from airflow.providers.cncf.kubernetes.triggers.pod import ContainerState, KubernetesPodTrigger
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodLaunchTimeoutException

from operators import pod_waiting


class StagePodTrigger(KubernetesPodTrigger):
    """The provider's trigger, which also ends the wait for a pod that cannot start, and does not count the wait for a queue."""

    cannot_start_s = pod_waiting.CANNOT_START_S

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Under this module's name."""
        return "operators.pod_trigger.StagePodTrigger", super().serialize()[1]

    async def _wait_for_pod_start(self) -> ContainerState:
        await self._admitted()
        started = asyncio.create_task(super()._wait_for_pod_start())
        refused = asyncio.create_task(self._refused())
        ended, running = await asyncio.wait({started, refused}, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return await (started if started in ended else refused)

    async def _admitted(self) -> None:
        """Wait while a queue holds the pod back: it has no node to wait for yet."""
        told = False
        while (gated := pod_waiting.gated(await self._get_pod())) is not None:
            if not told:
                self.log.info("the queue has not admitted the pod: %s", gated)
            told = True
            await asyncio.sleep(self.poll_interval)

    async def _refused(self) -> ContainerState:
        """Raise PodLaunchTimeoutException once the pod waited too long for what time does not mend; else never return."""
        since: float | None = None
        while True:
            pod = await self._get_pod()
            waiting = pod_waiting.reason(pod)
            if waiting is None or waiting[0] not in pod_waiting.CANNOT_START:
                since = None
            elif since is None:
                since = time.monotonic()
                self.log.warning("%s; waiting %.0f s for it to be mended", pod_waiting.explain(pod), self.cannot_start_s)
            elif time.monotonic() - since >= self.cannot_start_s:
                raise PodLaunchTimeoutException(pod_waiting.explain(pod))
            await asyncio.sleep(self.startup_check_interval)
