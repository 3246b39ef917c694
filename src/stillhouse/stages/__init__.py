"""The data path: one module per stage, and ``REGISTRY``, the only table of the facts about them.

Nothing below ``stages`` imports it: a function there that needs a fact takes it as an argument.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution.contract import Stage
from stillhouse.vocabulary.settings import StageConfig


@dataclass(frozen=True)
class StageEntry:
    """The facts about one stage that code outside the stage needs."""

    name: str
    help: str
    """One line, as the stage's own docstring begins: ``input -> output: what``."""
    config: str
    """``module:class`` of its Config, in a module that loads no heavy library."""
    image: str = "worker"
    """The directory of ``images/`` that holds what the stage imports; vLLM's holds what training imports too."""
    model: bool = False
    """Whether it loads a model: on a cluster it takes a GPU."""
    ranks: bool = False
    """Whether several processes train together, on one node or several."""
    whole: str = ""
    """Why the stage cannot be sharded; empty for one that can."""
    combines: bool = False
    """Whether its shards share the steps map and combine (``execution.contract``), as some things are decided over all rows."""
    rows: str | None = None
    """The class in ``vocabulary.rows`` of the rows it makes; None for a stage that makes other files."""
    fixed: tuple[str, ...] = ()
    """Config fields that tell the stage's recipes apart: no trigger form sets them."""


_PATH = (
    StageEntry(
        "questions", "sources -> questions: read, mix, filter, deduplicate, keep benchmarks out, label.",
        "stillhouse.curation.config:QuestionsConfig", combines=True, rows="Question",
    ),
    StageEntry(
        "responses", "questions -> responses: sample answers to every question from one or more models.",
        "stillhouse.sampling.config:ResponsesConfig", "vllm", model=True, rows="Response", fixed=("model",),
    ),
    StageEntry(
        "verified",
        "questions + responses -> verified: score every sampled response against its reference, tests, constraints or by a model.",
        "stillhouse.verification.config:VerifiedConfig", "sandbox", rows="Verified",
    ),
    StageEntry(
        "screened",
        "questions + responses -> screened: which responses are fit to learn from, by structure, repetition and perplexity.",
        "stillhouse.screening.config:ScreenedConfig", combines=True, rows="Screened",
    ),
    StageEntry(
        "graded", "questions + verified -> graded: how hard each question is, by the pass rates of the models that answered it.",
        "stillhouse.grading.config:GradedConfig", rows="Graded",
    ),
    StageEntry(
        "selected", "questions + responses + verified + screened + graded -> selected: what each training stage learns from.",
        "stillhouse.selection.config:SelectedConfig", combines=True, rows="Selected",
    ),
    StageEntry(
        "sft", "selected (+ checkpoint) -> sft: fine-tune on the examples of one split.",
        "stillhouse.training.sft.config:SftConfig", "train", model=True, ranks=True, whole="it makes one model", fixed=("split",),
    ),
    StageEntry(
        "rl",
        "selected + questions + checkpoint (+ graded) -> rl: GRPO on one difficulty stage's questions, rewarded by the verifier.",
        "stillhouse.training.rl.config:RlConfig", "vllm", model=True, ranks=True, whole="it makes one model", fixed=("split",),
    ),
    StageEntry(
        "report", "checkpoint -> report: pass@1 with its interval on named benchmarks, over one or more rounds of thinking.",
        "stillhouse.benchmarks.config:ReportConfig", "vllm", model=True, whole="its intervals are over all questions",
    ),
    StageEntry(
        "comparison", "reports -> comparison: the paired differences of several checkpoints to the first, on one page.",
        "stillhouse.benchmarks.config:ComparisonConfig", whole="it pairs all questions",
    ),
    StageEntry(
        "registry",
        "report + checkpoint -> registry: register the model, and promote it if it is proven to be no worse than the champion.",
        "stillhouse.registry.config:RegistryConfig", whole="it registers one model",
    ),
)  # fmt: skip
REGISTRY = {entry.name: entry for entry in _PATH}
"""The stages by name, in path order."""
DATA_PATH = tuple(REGISTRY)


def entry_of(name: str) -> StageEntry:
    """The facts about a stage. Raises BadConfig with the nearest name on a typo."""
    if name not in REGISTRY:
        msg = f"no stage {name!r}; {nearest(name, REGISTRY, 'stages')}"
        raise BadConfig(msg)
    return REGISTRY[name]


def load(name: str) -> Stage:
    """The stage module of that name. Raises BadConfig with the nearest name on a typo."""
    return cast("Stage", import_module(f"stillhouse.stages.{entry_of(name).name}"))


def config_of(name: str) -> type[StageConfig]:
    """The stage's Config, without the stage: a trigger form is built from it. Raises BadConfig like ``load``."""
    module_name, _, class_name = entry_of(name).config.partition(":")
    return cast("type[StageConfig]", getattr(import_module(module_name), class_name))


def refuse_shard(name: str) -> None:
    """Raise BadConfig, with the reason, for a stage that cannot be sharded."""
    if reason := entry_of(name).whole:
        msg = f"{name} cannot be sharded: {reason}; leave out --shard"
        raise BadConfig(msg)
