"""Profiles on S3: mirrored, found, and refreshed once the mirror is old."""

import os

import boto3
import pytest

from stillhouse.execution import profile_folders, profiles, recipes


@pytest.fixture
def put(s3_root, monkeypatch, tmp_path):
    """Writes a file of the root of profiles that the environment names."""
    monkeypatch.setattr(profile_folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", s3_root)
    client = boto3.client("s3")
    bucket, prefix = s3_root.removeprefix("s3://").split("/")
    return lambda key, text: client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=text.encode())


def test_profile_on_s3_is_found_and_refreshed_once_its_mirror_is_old(put):
    put("remote/profile.yaml", "title: far away\npipeline: evaluate\nlike: toy\n")
    put("remote/report.yaml", "benchmarks: [arithmetic-toy]\nsamples: 3\n")
    assert profiles.load("remote").recipes["report"].read_text() == "benchmarks: [arithmetic-toy]\nsamples: 3\n"
    put("remote/report.yaml", "benchmarks: [arithmetic-toy]\nsamples: 5\n")
    assert "samples: 3" in profiles.load("remote").recipes["report"].read_text(), "the mirror is fresh"
    [marker] = profile_folders.Path(profile_folders.tempfile.gettempdir()).glob("stillhouse-profiles-*/*/.mirrored")
    old = marker.stat().st_mtime - 2 * profile_folders.MIRRORED_EVERY_S
    os.utime(marker, (old, old))
    assert "samples: 5" in profiles.load("remote").recipes["report"].read_text()


def test_store_that_does_not_answer_is_a_problem_and_no_other_profile_suffers(put, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", "s3://no-such-bucket-here/x")
    assert profiles.load("toy").name == "toy"
    assert any(
        "s3://no-such-bucket-here/x is not a directory of profiles" in line for line in profile_folders.problems(recipes.RECIPES)
    )
