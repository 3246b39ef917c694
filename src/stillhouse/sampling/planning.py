"""The config of the stage ``responses`` -> its models, what each is asked, and the id that names the settings in its rows."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.models import resolving
from stillhouse.models.references import is_reference, name_of
from stillhouse.sampling import engine as engines
from stillhouse.sampling.adaptive import decided
from stillhouse.sampling.config import JUDGE, ResponsesConfig, ResponsesInputs, Sampling
from stillhouse.sampling.engine import Engine
from stillhouse.sampling.plan import Rounds, SamplingPlan, Standing, Summaries, Until, Verify
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import Question, Response


def check(config: ResponsesConfig, inputs: ResponsesInputs) -> None:
    """Raise MissingInput or BadConfig if the config and the inputs do not go together."""
    if config.prompt_kind == "summary" and not inputs.responses:
        msg = "responses: prompt_kind summary needs --input responses=URI, whose thinking is summarised; got none"
        raise MissingInput(msg)
    if config.prompt_kind == "question" and inputs.responses:
        msg = "responses: --input responses=… is for prompt_kind summary; leave it out, or set prompt_kind"
        raise BadConfig(msg)
    if inputs.checkpoint and config.models:
        msg = f"responses: one checkpoint cannot be {len(config.models)} models; leave out --input checkpoint, or name one model"
        raise BadConfig(msg)


def sampling_id(config: ResponsesConfig, sampling: Sampling, inputs: ResponsesInputs, model: str) -> str:
    """Names everything but the prompt that decides a response: the settings, the model, and the model of a summary.

    ``model`` is what the config names: a reference is fixed by then, a name at an endpoint says too little to count.
    """
    identity = list(inputs.fingerprints.get("checkpoint", ()))
    if not identity and is_reference(model):
        identity.append(resolving.identity(model))
    if config.prompt_kind == "summary":
        identity.append(name_of(config.model or ""))
    return ids.content_id(sampling.sampling_id, *identity) if identity else sampling.sampling_id


def loader(sampling: Sampling, model: str, checkpoint: Path | None) -> Callable[[], Engine]:
    """A call that loads the model."""
    return partial(engines.load, sampling, checkpoint or model)


def planner(config: ResponsesConfig, inputs: ResponsesInputs, verify: Verify) -> Callable[[str, Sampling], SamplingPlan]:
    """A function from a model and its settings to its plan. ``verify`` is called only if the config's ``until`` needs verdicts."""
    if config.prompt_kind == "question" and config.until == "all":
        return lambda model, sampling: Rounds(sampling, model, partial(questions, inputs), config.samples, config.rounds)
    by_id = {row.question_id: row for row in questions(inputs)}
    if config.prompt_kind == "summary":
        return lambda model, sampling: Summaries(sampling, config.summary_prompt, by_id, partial(responses, inputs))
    _refuse_judged(config, by_id)
    step = config.adaptive.step if config.until == "graded" else 1
    enough = partial(_graded if config.until == "graded" else _solved, config)
    return lambda model, sampling: Until(
        sampling, model, by_id, config.samples, config.rounds, step, enough, partial(verify, by_id)
    )  # fmt: skip


def _refuse_judged(config: ResponsesConfig, by_id: Mapping[str, Question]) -> None:
    judged = {category for category, facts in FACTS.items() if facts.verifier == JUDGE} - config.verifiers.keys()
    present = sorted({row.category for row in by_id.values()} & judged)
    if present:
        names = ", ".join(present)
        msg = (
            f"responses: until {config.until} needs verdicts by rule, and no rule scores {names}; leave those questions out, name "
            "a verifier of your own in verifiers, or set until to all"
        )
        raise BadConfig(msg)


def questions(inputs: ResponsesInputs) -> Iterator[Question]:
    """The questions of this shard."""
    return (row for row in tables.read(inputs.questions, Question) if inputs.shard.holds(row.question_id))


def responses(inputs: ResponsesInputs) -> Iterator[Response]:
    """The responses of this shard whose thinking is to be summarised."""
    all_rows = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    return (row for row in all_rows if row.prompt_kind != "summary" and inputs.shard.holds(row.question_id))


def _solved(config: ResponsesConfig, standing: Standing, left: int) -> bool:
    return standing.passes > 0


def _graded(config: ResponsesConfig, standing: Standing, left: int) -> bool:
    adaptive = config.adaptive
    prior = adaptive.prior(standing.question.category)
    return decided(standing.passes, standing.failures, left, prior, adaptive.confidence, adaptive.boundaries)
