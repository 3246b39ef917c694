"""A release of 200,000 responses of 4 kB, imported to five artifacts and exported again, against bare JSON and zstd."""

import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stillhouse.exchange import files, importing, line_files, writing
from stillhouse.exchange.export import export
from tests.perf.measure import peak_gib, table, timed

ROWS = int(os.environ.get("STILLHOUSE_BENCH_ROWS", "200000"))
SAMPLES = 4
WORDS = 600
"""Words of thinking, most of them of seven characters."""


def rows() -> Iterator[dict[str, object]]:
    """Rows of the flat schema: every question has four responses of one model."""
    draw = random.Random(0)
    words = [f"{number:07x}"[: 3 + number % 5] for number in range(20_000)]
    for number in range(ROWS):
        think = " ".join(draw.choices(words, k=WORDS))
        yield {
            "question": f"What is {number // SAMPLES} + 7? {words[number // SAMPLES % 20_000]}",
            "answer": f"<think>{think}</think>\n<answer>{number // SAMPLES + 7}</answer>", "question_source": "generated",
            "answer_source": "am", "category": "math", "ground_truth": str(number // SAMPLES + 7), "test_case": None,
            "instruction_constrain": None, "pass_rate_r1": 0.75, "pass_rate_7b": 0.5, "pass_rate_1.5b": 0.25,
            "verify_score": float(number % SAMPLES > 0), "ppl": 2.5, "model_name": "r1",
        }  # fmt: skip


def bare_read(path: Path) -> None:
    """What reading takes without checking anything: zstd and the standard library's JSON."""
    import zstandard

    with zstandard.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            json.loads(line)


def bare_write(source: Path, path: Path) -> float:
    """The same way back; seconds, without those of reading."""
    import zstandard

    made = [row for _, row in files.objects(source) if isinstance(row, dict)]
    with timed() as timing, zstandard.open(path, "wt", encoding="utf-8") as file:
        for row in made:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return timing.seconds


def main() -> None:
    """Print seconds, MB of JSON a second and the ratio to the bare way."""
    os.environ.setdefault("STILLHOUSE_COMMIT", "bench")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        file = root / "release.jsonl.zst"
        writing.write(file, rows())
        with timed() as read:
            bare_read(file)
        with timed() as parsed:
            size = sum(len(line) for _, line in line_files.lines(file) if isinstance(line, bytes))
        with timed() as imported:
            importing.import_release([str(file)], f"{root}/{{stage}}/x/1", form="am-40m")
        peak = peak_gib()
        uris = [f"{root}/{name}/x/1" for name in ("verified", "screened", "graded")]
        with timed() as exported:
            export(uris, "am-40m", f"{root}/out/again.jsonl.zst")
        same = (root / "out" / "again.jsonl.zst").read_bytes() == file.read_bytes()
        peak_export = peak_gib()
        written_s = bare_write(file, root / "bare.jsonl.zst")
    steps = [
        ("read, bare zstd + json", read.seconds, read.seconds, None), ("lines alone", parsed.seconds, read.seconds, None),
        ("import", imported.seconds, read.seconds, peak), ("write, bare json + zstd", written_s, written_s, None),
        ("export", exported.seconds, written_s, peak_export),
    ]  # fmt: skip
    table(
        ["step", "seconds", "MB/s", "rows/s", "x bare", "peak GiB"],
        [
            [step, seconds, size / 1e6 / seconds, ROWS / seconds, seconds / bare, "-" if gib is None else gib]
            for step, seconds, bare, gib in steps
        ],
    )
    print(f"  the release that came out is the one that went in, byte for byte: {same}")
