"""A stage as a child process of the task: laptop and CI."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from operators import events
from operators.command_line import NO_INPUTS, NO_RESOURCES, Inputs, Text, arguments, tool
from operators.links import LINKS
from operators.placement import GPU
from operators.retries import Outage
from operators.templates import as_template
from stillhouse.errors import REFUSED, TRY_AGAIN

LAST_WORDS = ("error", "try again")
"""The words that begin a stage's own last line."""
KILL_AFTER_S = 5.0
"""The time a stage has to close its MLflow run and remove its scratch directory."""


class StageProcess(BaseOperator):
    """Run ``stillhouse STAGE …``, or the other command ``words``, in its own process group, its output in the task's log.

    The program is ``STILLHOUSE_PROGRAM``, by default ``stillhouse`` on the PATH.
    """

    template_fields: Sequence[str] = ("cmds", "target", "parent_run", "variables")
    ui_color = "#e8f1e4"
    operator_extra_links = LINKS

    def __init__(
        self, *, stage: str, recipe: Text = "", target: Text = "", words: Sequence[Text] = (), overrides: Text = "{}",
        inputs: Inputs = NO_INPUTS, parent_run: Text = "",
        shard: Text = "", step: Text = "", variables: Mapping[str, Text] = NO_RESOURCES,
        resources_needed: Mapping[str, str] = NO_RESOURCES,
        image: str = "", nodes: int = 1, node_selector: Mapping[str, str] = NO_RESOURCES, processes: int = 1,
        pod: Mapping[str, Any] = NO_RESOURCES, placing: Text = "", limit: Text = "", **kwargs: Any,
    ) -> None:  # fmt: skip
        # StagePod alone uses image, nodes, pod, placing, limit and other resources than GPUs: a laptop is one node.
        super().__init__(do_xcom_push=False, post_execute=events.announce, **kwargs)
        program = os.environ.get("STILLHOUSE_PROGRAM", "stillhouse")
        self._processes = int(resources_needed.get(GPU, processes))
        stage_words: dict[str, Any] = {"shard": shard, "step": step, "program": program, "processes": self._processes}
        self.cmds = tool(program, words) if words else arguments(stage, recipe, overrides, inputs, target, **stage_words)
        self.target = as_template(target)
        self.parent_run = as_template(parent_run)
        self.variables = {name: as_template(value) for name, value in variables.items()}
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> None:
        """Run the stage to its end. Raises its failure: AirflowFailException, Outage or, for a crash, AirflowException."""
        last = ""
        words: dict[str, str] = {}
        for line in self._lines():
            self.log.info("%s", line)
            # torchrun underlines what it says last.
            last = line.strip() if line.strip("=- ") else last
            word, colon, message = line.partition(": ")
            words |= {word: message} if colon and word in LAST_WORDS else {}
        code = self._process.wait() if self._process else 0
        if code:
            raise _failure(code, words, last)

    def on_kill(self) -> None:
        """End the stage and all it started: SIGTERM, then SIGKILL."""
        if self._process is None:
            return
        _signal_group(self._process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_AFTER_S)
        _signal_group(self._process, signal.SIGKILL)

    def _lines(self) -> Iterator[str]:
        """The output of the stage, line by line, until the stage has ended."""
        try:
            process = subprocess.Popen(
                self.cmds, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
        except (FileNotFoundError, PermissionError) as error:
            msg = f"{self.cmds[0]} does not run ({error.strerror}): point STILLHOUSE_PROGRAM at the stages' `stillhouse` command"
            raise AirflowFailException(msg) from error
        self._process = process
        # A child that outlives its stage would hold the pipe open, and this task with it.
        threading.Thread(target=_end_group_after, args=(process,), daemon=True).start()
        if process.stdout is not None:
            with process.stdout:
                yield from (line.rstrip() for line in process.stdout)

    def _environment(self) -> dict[str, str]:
        """This process's variables without Airflow's own, plus the parent run and the threads that the slots stand for."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHONPATH"))
        }
        added = {
            "MLFLOW_RUN_ID": self.parent_run or "",
            "MLFLOW_EXPERIMENT_NAME": self.dag_id,
            "OMP_NUM_THREADS": str(max(1, self.pool_slots // self._processes)),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
        }
        return inherited | added | {name: value for name, value in self.variables.items() if value}


def _signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_group_after(process: "subprocess.Popen[str]") -> None:
    process.wait()
    _signal_group(process, signal.SIGKILL)


def _failure(code: int, words: Mapping[str, str], last: str) -> AirflowException:
    """The failure of a stage that ended with an exit code, or a negative signal, and these last words."""
    if code < 0:
        return Outage(f"the stage was killed by {signal.Signals(-code).name}; its finished parts are kept, the next try goes on")
    if code == TRY_AGAIN:
        return Outage(words.get("try again") or words.get("error") or last)
    # With several ranks, torchrun makes every exit code 1: only their last words tell whether the failure may pass.
    if "error" in words and code == REFUSED:
        return AirflowFailException(words["error"])
    if "try again" in words:
        return Outage(words["try again"])
    return AirflowException(f"the stage crashed with exit code {code}: {last}")
