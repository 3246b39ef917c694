"""``python -m laptop up|down|demo|recording|rehearse|results|status``: what the Makefile calls."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console

from laptop import login_links, own_model, services
from laptop.demo import demo, prepare
from laptop.rehearsal import rehearse
from laptop.results import results
from laptop.settings import CHECKOUT, STORES, Laptop
from stillhouse.errors import BadConfig, StillhouseError
from stillhouse.vocabulary.masking import one_line

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR)
out = Console(highlight=False)


def up(laptop: Laptop) -> bool:
    """Start the services, and print their addresses."""
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fresh = services.start(laptop, out.print)
    prepare(laptop, "laptop", since if "dag-processor" in fresh else "")
    link = laptop.airflow_url + login_links.new(laptop.login_links, "/")
    out.print(f"Airflow  {link}  logs in once; later user admin, password {laptop.secrets['admin_password']}", soft_wrap=True)
    out.print(f"MLflow   {laptop.mlflow_url}", soft_wrap=True)
    if laptop.store == "s3":
        key, secret = laptop.secrets["s3_access_key"], laptop.secrets["s3_secret_key"]
        out.print(f"S3       {laptop.s3_url}  key {key}, secret {secret}", soft_wrap=True)
    login = f"STILLHOUSE_AIRFLOW_USER=admin STILLHOUSE_AIRFLOW_PASSWORD={laptop.secrets['admin_password']}"
    servers = f"MLFLOW_TRACKING_URI={laptop.mlflow_url} STILLHOUSE_AIRFLOW_URL={laptop.airflow_url}"
    out.print(f"watch    {servers} {login} stillhouse watch DAG", soft_wrap=True)
    out.print(f"store    {laptop.root}\nlogs     {laptop.home / 'logs'}\n`make down` stops them", soft_wrap=True)
    return True


def down(laptop: Laptop) -> bool:
    """Stop the services."""
    stopped = services.stop(laptop)
    out.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return True


def status(laptop: Laptop) -> bool:
    """Print what runs; false if anything is missing."""
    pids = services.running(laptop)
    for name, pid in pids.items():
        out.print(f"{name:14} {f'running, pid {pid}' if pid else 'stopped'}  log {laptop.log(name)}", soft_wrap=True)
    return all(pids.values())


def main() -> None:
    """Run one command; an error is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m laptop", description="The services and the demo on one machine.")
    parser.add_argument("command", choices=["up", "down", "demo", "recording", "rehearse", "results", "status"])
    parser.add_argument("--store", choices=STORES, default="file")
    parser.add_argument("--profile", default="laptop", help="what `demo` runs, or `rehearse` in miniature")
    parser.add_argument("--version", default="demo", help="the artifacts' version; an earlier one skips what is unchanged")
    parser.add_argument("--model", default="", help="a model of yours, as any model is named: `demo` runs the profile own with it")
    parser.add_argument("--teachers", default="", help="its teachers by commas, NAME=URL or models; default: the model itself")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="stages of `results` at a time")
    options = parser.parse_args()
    # Ended by a supervisor or by `make`: the same clean way out as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        laptop = services.here(options.store)
        commands: dict[str, Callable[[Laptop], bool]] = {
            "up": up, "down": down, "status": status,
            "demo": partial(_demo, options), "recording": partial(_recording, options),
            "rehearse": partial(rehearse, partial(out.print, markup=False, soft_wrap=True), name=options.profile),
            "results": partial(results, partial(out.print, markup=False, soft_wrap=True), jobs=options.jobs),
        }  # fmt: skip
        succeeded = commands[options.command](laptop)
    except StillhouseError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {one_line(error)}; make room, or set STILLHOUSE_HOME to a directory that can be written", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    sys.exit(0 if succeeded else 1)


def _demo(options: argparse.Namespace, laptop: Laptop) -> bool:
    """Run the demo; with a model of the user, of the profile that is written for it."""
    if bool(options.model) != (options.profile == own_model.NAME):
        msg = f"MODEL={options.model or '(none)'} PROFILE={options.profile}: the profile {own_model.NAME} and MODEL go together"
        raise BadConfig(msg)
    if options.model:
        own_model.write_profile(laptop, options.model, [name for name in options.teachers.split(",") if name])
        os.environ["STILLHOUSE_PROFILES_PATH"] = laptop.profiles_path()
    return demo(out, laptop, profile=options.profile, version=options.version)


def _recording(options: argparse.Namespace, laptop: Laptop) -> bool:
    """Run the demo on a terminal of its own, and keep what it showed as a picture for the README."""
    from laptop.recording import record  # here: it needs the extra dev, and nothing else does

    demo_command = [sys.executable, "-m", "laptop", "demo", "--store", options.store, "--profile", options.profile]
    record(
        [*demo_command, "--version", options.version],
        CHECKOUT / "docs" / "demo.svg",
        f"make demo PROFILE={options.profile}",
        laptop.home,
    )
    return True


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
