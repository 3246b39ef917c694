"""Selection in shards: each finds the candidates of its questions, one process ranks them over all, each writes its examples."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from stillhouse.errors import BadRows, NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.selection import decision, splits
from stillhouse.selection.candidates import ResponsePool
from stillhouse.selection.config import SelectedConfig, SelectedInputs
from stillhouse.selection.context import Context
from stillhouse.selection.decision import Selection, SftCandidates
from stillhouse.selection.splits import Split
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Mode

SUMMARY, OWN, FACTS, CHOSEN = "summary", "own", "facts.json", "thresholds.json"
RANKING = ("category", "rank", "cv", "order", "question_id")
"""The columns that rank candidates, as far as a split has them."""
POOL = ("question", "model", "sample", "row", "score", "passed", "rejected")


def map_share(config: SelectedConfig, inputs: SelectedInputs) -> Outputs:
    """The map step: the candidates of this shard, and what ranks them."""
    found = decision.candidates(config, inputs)
    selection, summary, own = found.selection, inputs.output / SUMMARY, inputs.output / OWN
    for directory in (summary, own):
        directory.mkdir()
    for number, split in enumerate(selection.splits):
        split.rows.write_ipc(own / f"{number}.arrow")
        if splits.is_ranked(config, split.name):
            split.rows.select(name for name in RANKING if name in split.rows.columns).write_ipc(summary / f"{number}.arrow")
    _save(selection, own)
    facts = {
        "thresholds": found.context.pass_thresholds,
        "candidates": {split.name: split.rows.height for split in selection.splits},
    }
    (summary / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return Outputs({f"n_candidates/{split.name}": float(split.rows.height) for split in selection.splits})


def combine(config: SelectedConfig, inputs: SelectedInputs) -> Outputs:
    """The combine step: which candidates of each shard are within the limits. Raises NothingToDo for an empty split."""
    facts = [json.loads((directory / SUMMARY / FACTS).read_text(encoding="utf-8")) for directory in inputs.maps]
    pass_thresholds = _agreed([shard["thresholds"] for shard in facts])
    totals: dict[str, int] = {}
    for index in range(inputs.shard.count):
        directory = inputs.output / f"to-{index}"
        directory.mkdir()
        (directory / CHOSEN).write_text(json.dumps(pass_thresholds), encoding="utf-8")
    for number, name in enumerate(config.splits):
        totals[name] = sum(shard["candidates"][name] for shard in facts)
        if splits.is_ranked(config, name):
            totals[name] = _rank(config, inputs, number, name)
        if not totals[name]:
            msg = f"selected: split {name} would be empty in all shards; look at teacher, thresholds, levels and limits"
            raise NothingToDo(msg)
    return Outputs({f"n_chosen/{name}": float(count) for name, count in totals.items()})


def _rank(config: SelectedConfig, inputs: SelectedInputs, number: int, name: str) -> int:
    """Write the indices of the chosen candidates among those of each shard; returns how many there are."""
    frames = [
        pl.read_ipc(directory / SUMMARY / f"{number}.arrow")
        .with_row_index("candidate")
        .with_columns(shard=pl.lit(shard, pl.UInt32))
        for shard, directory in enumerate(inputs.maps)
    ]
    chosen = splits.within_limits(config, name, pl.concat(frames))
    for index in range(inputs.shard.count):
        rows = np.sort(chosen.filter(shard=index)["candidate"].to_numpy())
        np.save(inputs.output / f"to-{index}" / f"{number}.npy", rows)
    return chosen.height


def _agreed(stated: list[dict[Category, float]]) -> dict[Category, float]:
    """The pass threshold of each category. Raises BadRows if two shards state different ones."""
    agreed: dict[Category, float] = {}
    for shard in stated:
        for category, value in shard.items():
            if agreed.setdefault(category, value) != value:
                msg = (
                    f"verified: {category} questions have pass threshold {value:g} in one shard, {agreed[category]:g} in another; "
                    "use verdicts, and grades of verdicts, that were made with the same pass_thresholds"
                )
                raise BadRows(msg)
    return agreed


def decided(config: SelectedConfig, inputs: SelectedInputs) -> Selection:
    """The selection of this shard, from its candidates and the ranking over all shards."""
    own, to_me = inputs.maps[inputs.shard.index] / OWN, _decision(inputs)
    context = Context(config, config.limits, json.loads((to_me / CHOSEN).read_text(encoding="utf-8")))
    chosen = []
    for number, name in enumerate(config.splits):
        rows = pl.read_ipc(own / f"{number}.arrow")
        if splits.is_ranked(config, name):
            rows = rows[np.load(to_me / f"{number}.npy")]
        chosen.append(splits.with_thresholds(Split(name, _mode(config, name), rows), context))
    return replace(_load(own), splits=chosen)


def _decision(inputs: SelectedInputs) -> Path:
    if inputs.decision is None:
        msg = "selected: a shard needs the ranking of the combine step"
        raise ValueError(msg)
    return inputs.decision / f"to-{inputs.shard.index}"


def _mode(config: SelectedConfig, name: str) -> Mode:
    if name in {config.sft_split, config.anneal_split}:
        return config.mode
    return "original" if name in config.original_splits else "full"


def _save(selection: Selection, directory: Path) -> None:
    """Write all of a selection but its splits."""
    selection.questions.write_ipc(directory / "questions.arrow")
    if selection.grades is not None:
        selection.grades.write_ipc(directory / "grades.arrow")
    if selection.sft is not None:
        pool = selection.sft.pool
        selection.sft.choices.write_ipc(directory / "choices.arrow")
        selection.sft.passing.write_ipc(directory / "passing.arrow")
        pool.ids.to_frame("id").write_ipc(directory / "ids.arrow")
        np.savez(directory / "pool.npz", failing=selection.sft.failing, **{name: getattr(pool, name) for name in POOL})
        others = [[*key, count] for key, count in pool.others.items()]
        (directory / FACTS).write_text(
            json.dumps({"models": pool.models, "others": others, "let_go": pool.let_go}), encoding="utf-8"
        )


def _load(directory: Path) -> Selection:
    def frame(name: str) -> pl.DataFrame:
        return pl.read_ipc(directory / f"{name}.arrow")

    grades = frame("grades") if (directory / "grades.arrow").exists() else None
    if not (directory / FACTS).exists():
        return Selection(frame("questions"), grades, None, [])
    facts = json.loads((directory / FACTS).read_text(encoding="utf-8"))
    others = Counter({(model, kind, number): count for model, kind, number, count in facts["others"]})
    with np.load(directory / "pool.npz") as arrays:
        columns = {name: arrays[name] for name in POOL}
        pool = ResponsePool(frame("ids")["id"], facts["models"], **columns, others=others, let_go=facts["let_go"])
        sft = SftCandidates(pool, frame("choices"), frame("passing"), arrays["failing"])
    return Selection(frame("questions"), grades, sft, [])
