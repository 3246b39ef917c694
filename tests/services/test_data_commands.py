"""``sniff`` and ``import`` as a user types them, and what they say of a typo."""

import json
import subprocess
import sys

import pytest

from tests.unit.sources.shapes import SHAPES

IMPORT = ("import", "gsm8k.jsonl", "-o", "s/{stage}/a/v1", "--as")


def command(directory, *words):
    done = subprocess.run(
        [sys.executable, "-m", "stillhouse", *words], cwd=directory, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def file(tmp_path):
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SHAPES["gsm8k"]))
    return tmp_path


def test_sniff_writes_a_recipe_and_questions_takes_it(file):
    sniffed = command(file, "sniff", "gsm8k.jsonl")
    assert sniffed.returncode == 0
    assert "reference_answer: 2000" in sniffed.stdout
    assert "self-test passed: 9 known answers tried, all judged rightly" in sniffed.stdout
    made = command(file, "questions", "--config", "@questions-gsm8k.yaml", "--output", "store/questions/gsm8k/v1")
    assert made.stdout.startswith("questions done in")
    assert ": 3 rows, 0 dropped" in made.stdout


def test_import_of_mapped_rows_and_of_a_preset_publish_the_same_questions(file):
    command(file, "sniff", "gsm8k.jsonl")
    mapped = command(file, "import", "gsm8k.jsonl", "--as", "mapped", "--mapping", "@questions-gsm8k.yaml", "-o", "s/{stage}/a/v1")
    preset = command(file, "import", "gsm8k.jsonl", "--as", "gsm8k", "-o", "s/{stage}/b/v1")
    assert mapped.stdout.startswith("questions: 3 rows")
    assert preset.stdout.startswith("questions: 3 rows")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sniff", "no.jsonl"), "no.jsonl: no such file"),
        (("sniff", "gsm8k.jsonl", "--category", "maths"), "--category maths: no such category; did you mean math?"),
        ((*IMPORT, "gsm8"), "--as gsm8: no such form; did you mean gsm8k?"),
        ((*IMPORT, "mapped"), "--as mapped: needs --mapping"),
        (
            (*IMPORT, "mapped", "--mapping", '{"columns": {"prompt": "q"}, "extrakt": 1}'),
            "mapping.extrakt: no such field (did you mean extract?)",
        ),
        ((*IMPORT, "am-40m", "--categories", "x"), "not of the form SOURCE=CATEGORY"),
    ],
)  # fmt: skip
def test_data_commands_typo_is_one_line_that_says_what_to_write(file, words, says):
    done = command(file, *words)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
