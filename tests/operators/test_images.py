"""The Dockerfiles as text, and the worker image for real where podman has the base image."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stillhouse import stages

ROOT = Path(__file__).parents[2]
IMAGES = sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile"))
BASE = "docker.io/library/python:3.11-slim-bookworm"


def instructions(image: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, lines joined, comments dropped."""
    text = (ROOT / "images" / image / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def arguments(image: str) -> dict[str, str]:
    return dict(value.split("=", 1) for word, value in instructions(image) if word == "ARG")


def test_images_are_those_that_operators_and_chart_name():
    assert IMAGES == ["airflow", "sandbox", "services", "train", "vllm", "worker"]


@pytest.mark.parametrize("image", IMAGES)
def test_image_starts_from_a_pinned_version(image):
    stages = set()
    for base, name in [
        re.fullmatch(r"(\S+)(?: AS (\w+))?", value).groups() for word, value in instructions(image) if word == "FROM"
    ]:
        source = re.sub(r"\$\{(\w+)\}", lambda found: arguments(image)[found[1]], base)
        assert source in stages or re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*|localhost/stillhouse/worker:dev", source), source
        assert not source.endswith(":latest")
        stages.add(name)


@pytest.mark.parametrize("image", IMAGES)
def test_image_ends_as_another_user_than_root(image):
    users = [value for word, value in instructions(image) if word == "USER"]
    assert users[-1] in {"10001:10001", "50000:0"}  # the second is the one that Airflow's image and chart expect


@pytest.mark.parametrize("image", IMAGES)
def test_image_is_labelled_with_its_commit(image):
    last = [value for word, value in instructions(image) if word == "LABEL"][-1]
    assert 'org.opencontainers.image.revision="${COMMIT}"' in last
    assert f'org.opencontainers.image.title="stillhouse/{image}"' in last
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in last


@pytest.mark.parametrize("image", [image for image in IMAGES if image != "sandbox"])
def test_image_has_the_one_wheel_with_an_extra_and_nothing_of_its_building(image):
    words = instructions(image)
    start = max(index for index, (word, _) in enumerate(words) if word == "FROM")
    installs = [value for word, value in words if word == "RUN" and " install " in value and "/needs/*.whl)[" in value]
    assert len(installs) == 1
    assert "--constraint" in installs[0]
    ours = [value for word, value in words[start:] if word == "RUN" and "--no-deps --force-reinstall /wheel/*.whl" in value]
    assert len(ours) == 1
    assert all("--no-cache-dir" in each for each in installs + ours)
    copied = [value for word, value in words[start:] if word == "COPY"]
    assert not any(value.startswith(("src", "operators", ". ")) for value in copied)


def test_images_of_all_stages_are_there_and_those_that_run_code_have_a_compiler():
    entries = stages.REGISTRY.values()
    assert {entry.image for entry in entries} <= set(IMAGES)
    for name in ("verified", "rl", "report"):
        installed = [value for word, value in instructions(stages.REGISTRY[name].image) if word == "RUN" and "apt-get" in value]
        compilers = arguments(stages.REGISTRY[name].image).get("COMPILER", "")
        assert "g++" in f"{installed} {compilers}", name


@pytest.mark.parametrize("image", IMAGES)
def test_image_extra_exists(image):
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = arguments(image).get("EXTRAS", "").split(",") + re.findall(r"\*\.whl\)\[(\w+)\]", str(instructions(image)))
    assert set(filter(None, named)) <= set(extras)


def test_images_build_the_wheels_alike():
    """The same lines in each, so that a builder's cache makes them once."""

    def wheels(image: str) -> str:
        words = instructions(image)
        start = words.index(("FROM", "${PYTHON} AS wheel"))
        return str(words[start : start + 11])

    assert len({wheels(image) for image in IMAGES if image != "sandbox"}) == 1


@pytest.fixture(scope="module")
def podman() -> str:
    program = shutil.which("podman")
    if program is None or subprocess.run([program, "image", "exists", BASE], capture_output=True).returncode:
        pytest.skip(f"no podman with {BASE}: the worker image is not built here")
    return program


@pytest.mark.timeout(900)
def test_worker_image_builds_and_runs_a_stage_without_rights(podman, tmp_path):
    """Read-only, another user, no network, no capability: as in a pod. ``STILLHOUSE_BUILD`` holds options the machine needs."""
    command = ["make", "images", "ONLY=worker", "TAG=test", "CONTAINERS=podman", f"BUILD={os.environ.get('STILLHOUSE_BUILD', '')}"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    options = [
        "--rm", "--read-only", "--network=none", "--cap-drop=all", "--security-opt=no-new-privileges", "--tmpfs=/scratch:mode=1777",
        "--env=STILLHOUSE_SCRATCH=/scratch", "--env=HOME=/scratch", "--env=TMPDIR=/scratch", f"--volume={tmp_path / 'out'}:/out",
    ]  # fmt: skip
    stage = ["stillhouse", "questions", "--config", "@toy/questions", "--output", "file:///out/questions/toy/1"]
    done = subprocess.run([podman, "run", *options, "localhost/stillhouse/worker:test", *stage], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out/questions/toy/1/manifest.json").exists()
    facts = subprocess.run([podman, "inspect", "localhost/stillhouse/worker:test"], capture_output=True, text=True).stdout
    assert f'"org.opencontainers.image.revision": "{head}"' in facts
