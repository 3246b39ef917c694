"""questions -> responses: sample answers to every question from one or more models."""

from functools import partial

from stillhouse.errors import NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.sampling.config import ResponsesConfig, ResponsesInputs

SCHEMA_VERSION = 2
Config, Inputs = ResponsesConfig, ResponsesInputs


def run(config: ResponsesConfig, inputs: ResponsesInputs) -> Outputs:
    """Sample what neither a finished part nor an earlier output holds.

    Raises TooManyErrors if too many requests are given up, NothingToDo if there is nothing to ask about.
    """
    from stillhouse.sampling import planning
    from stillhouse.sampling.answering import Answering
    from stillhouse.sampling.published_parts import PublishedParts, composition
    from stillhouse.verification.pool import VerifierPool
    from stillhouse.verification.scoring import passed
    from stillhouse.verification.verifier import with_libraries

    planning.check(config, inputs)
    # The pool starts its processes with the first verdict: where ``until`` asks for none, it costs nothing.
    with (
        VerifierPool(config.verify_timeout_s, verifiers=with_libraries(config.verifiers, config.libraries)) as pool,
        PublishedParts(inputs) as parts,
    ):
        plan_of = planning.planner(config, inputs, partial(passed, pool, config.pass_thresholds))
        answering = Answering(inputs, parts, inputs.previous, config.max_failure_rate)
        for model, sampling in config.samplings().items():
            sampling_id = planning.sampling_id(config, sampling, inputs)
            answering.run(plan_of(model, sampling), sampling, sampling_id, planning.loader(sampling, model, inputs.checkpoint))
        if not answering.total and inputs.shard.count == 1:
            msg = "responses: the inputs have no row to ask about; nothing to sample"
            raise NothingToDo(msg)
        parts.finish()
    metrics = composition(inputs.output) | answering.metrics(config.engine)
    return Outputs(metrics=metrics, dropped=parts.reasons())
