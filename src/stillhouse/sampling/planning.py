"""The config of the responses stage -> its models, what each is asked, and what its rows are named by."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.sampling.adaptive import decided
from stillhouse.sampling.engine import Engine, Sampling
from stillhouse.sampling.plan import Plan, Rounds, Standing, Summaries, Until
from stillhouse.verification.judges import JUDGES
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.rows import Question, Response

if TYPE_CHECKING:
    from stillhouse.stages.responses import Config, Inputs


def check(config: "Config", inputs: "Inputs") -> None:
    """Raise where the config and the inputs do not go together."""
    if config.prompt_kind == "summary" and not inputs.responses:
        msg = "responses: prompt_kind summary needs --input responses=URI, whose thinking is summarised; got none"
        raise MissingInput(msg)
    if config.prompt_kind == "question" and inputs.responses:
        msg = "responses: --input responses=… is for prompt_kind summary; leave it out, or set prompt_kind"
        raise BadConfig(msg)
    if inputs.checkpoint and config.models:
        msg = f"responses: one checkpoint cannot be {len(config.models)} models; leave out --input checkpoint, or name one model"
        raise BadConfig(msg)


def sampling_id(config: "Config", sampling: Sampling, inputs: "Inputs") -> str:
    """Names what a row's answer depends on beside its prompt: the settings, the checkpoint, and how a summary is asked for."""
    uris = inputs.uris.get("checkpoint", ())
    more = [manifests.load(uri, "input checkpoint").fingerprint for uri in uris]
    if config.prompt_kind == "summary":
        more.append(config.model or "")
    return ids.content_id(sampling.sampling_id, *more) if more else sampling.sampling_id


def loader(sampling: Sampling, model: str, checkpoint: Path | None) -> Callable[[], Engine]:
    """What loads the model: not before it is needed."""
    from stillhouse.sampling.engine import load

    return partial(load, sampling, checkpoint or model)


@contextmanager
def planner(config: "Config", inputs: "Inputs") -> Iterator[Callable[[str, Sampling], Plan]]:
    """A function from a model and its settings to its plan; verifiers run as long as the block does."""
    if config.prompt_kind == "summary":
        asked = {row.question_id: row for row in questions(inputs)}
        yield lambda model, sampling: Summaries(sampling, config.summary_prompt, asked, partial(responses, inputs))
    elif config.until == "all":
        yield lambda model, sampling: Rounds(sampling, model, partial(questions, inputs), config.samples, config.rounds)
    else:
        asked = {row.question_id: row for row in questions(inputs)}
        _refuse_judged(config, asked)
        step = config.adaptive.step if config.until == "graded" else 1
        with VerifierPool(config.verify_timeout_s) as pool:
            verify = partial(_passed, pool, asked, config)
            enough = partial(_graded if config.until == "graded" else _solved, config)
            yield lambda model, sampling: Until(sampling, model, asked, config.samples, config.rounds, step, enough, verify)


def _refuse_judged(config: "Config", asked: Mapping[str, Question]) -> None:
    judged = sorted({row.category for row in asked.values()} & JUDGES.keys())
    if judged:
        named = ", ".join(judged)
        msg = f"responses: until {config.until} needs verdicts by rule, {named} has none; leave those out, or set until to all"
        raise BadConfig(msg)


def questions(inputs: "Inputs") -> Iterator[Question]:
    """Those of this shard."""
    return (row for row in tables.read(inputs.questions, Question) if inputs.shard.holds(row.question_id))


def responses(inputs: "Inputs") -> Iterator[Response]:
    """Those of this shard whose thinking is to be summarised."""
    given = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    return (row for row in given if row.prompt_kind != "summary" and inputs.shard.holds(row.question_id))


def _solved(config: "Config", state: Standing, left: int) -> bool:
    return state.passes > 0


def _graded(config: "Config", state: Standing, left: int) -> bool:
    adaptive = config.adaptive
    prior = adaptive.prior(state.question.category)
    return decided(state.passes, state.failures, left, prior, adaptive.confidence, adaptive.boundaries)


def _passed(
    pool: VerifierPool, asked: Mapping[str, Question], config: "Config", made: Sequence[Response]
) -> Iterable[bool | None]:  # fmt: skip
    return [row.passed for row in verdicts(pool, asked, made, config.pass_thresholds)]
