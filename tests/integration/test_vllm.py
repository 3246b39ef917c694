"""A real vLLM (CPU build) and a tiny model: sampled in process, served over HTTP, and writing rollouts for a trainer.

vLLM has an environment of its own, ``.venv-vllm`` (``make test`` builds it on Linux x86-64). The served model is asked from here.
"""

import json
import os
import platform
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import tables
from stillhouse.benchmarks.evaluation import evaluate
from stillhouse.errors import EngineFailed
from stillhouse.execution import profiles, recipes
from stillhouse.execution.execute import execute
from stillhouse.execution.profiles import ServedModel
from stillhouse.models import chat_templates
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request, load
from stillhouse.sampling.transformers import TransformersEngine
from stillhouse.stages import responses, rl, screened, sft
from stillhouse.training import metrics_file, models
from stillhouse.training.config import FromCheckpoint, FromScratch, Validation
from stillhouse.training.rl.logprob_check import by_server, by_trainer, pairs
from stillhouse.training.rl.rollout_prompts import RolloutPrompt
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Question, Response, Screened, Selected
from tests.conftest import answers, free_port, server

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
PLATFORM = f"{platform.system()} {platform.machine()}"
START_S = 240
"""vLLM starts in 30 s on two idle cores."""
ENVIRONMENT = {
    "VLLM_HOST_IP": "127.0.0.1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING",
    "PYTHONPATH": str(ROOT / "src"),
}  # fmt: skip
CONFIG = responses.Config(
    model="tiny", engine="vllm", samples=3, max_tokens=24, temperature=0.8, top_p=0.9, system_prompt="none", suffix="none"
)
UNTRAINED = testing.questions(14)[10:]
"""What rl measures itself on."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no .venv-vllm on {PLATFORM}: make test builds it on Linux x86_64"),
]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Questions, and a model that has seen a few of them: vLLM on a CPU serves heads of 32 dimensions and multiples."""
    root = tmp_path_factory.mktemp("vllm")
    asked, selected = testing.questions(10), (root / "selected" / "toy" / "1").as_uri()
    testing.publish(asked, Question, (root / "questions" / "toy" / "1").as_uri())
    testing.publish([testing.selected(each) for each in asked], Selected, selected)
    testing.publish([testing.selected(each, "rl_1") for each in asked], Selected, (root / "selected" / "rl" / "1").as_uri())
    testing.publish(UNTRAINED, Question, (root / "questions" / "untrained" / "1").as_uri())
    init = FromScratch(kind="scratch", hidden_size=64, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
    config = sft.Config(
        init=init, max_steps=30, batch_size=12, learning_rate=1e-2, max_length=96, system_prompt="none", suffix="none"
    )
    execute(sft, config, {"selected": [selected]}, (root / "sft" / "tiny" / "1").as_uri())
    return root


@pytest.fixture(scope="module")
def endpoint(artifacts):
    """The model behind vLLM's own OpenAI-compatible server, under the name ``tiny``."""
    port = free_port()
    command = [
        str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(artifacts / "sft" / "tiny" / "1"),
        "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager",
        "--max-model-len", "128", "--max-num-seqs", "32", "--logprobs-mode", "processed_logprobs",
    ]  # fmt: skip
    # The development routes take weights, and say how the server was started: what is installed too, which uv knows.
    variables = ENVIRONMENT | {"VLLM_SERVER_DEV_MODE": "1", "PATH": f"{ROOT / '.venv' / '.uv' / 'bin'}:{os.environ['PATH']}"}
    with server(command, variables, artifacts / "server.log", lambda: answers(f"http://127.0.0.1:{port}/health"), START_S):
        yield f"http://127.0.0.1:{port}/v1"


def read(artifacts, name):
    made = list(tables.read(artifacts / "responses" / name / "1", Response))
    assert len({rows.response_key(row) for row in made}) == len(made) == 30
    return {rows.response_key(row): row for row in made}


def beside_vllm(stage, config, inputs, output, before="", **environment):
    """A stage in the environment that has vLLM, after some lines of Python: how it ended."""
    given = [word for name, uri in inputs.items() for word in ("--input", f"{name}={uri}")]
    arguments = [stage, "--config", config.model_dump_json(), *given, "--output", output]
    command = [str(PYTHON), "-c", f"{before}\nfrom stillhouse.__main__ import main\nmain()", *arguments]
    return subprocess.run(command, env=os.environ | ENVIRONMENT | environment, capture_output=True, text=True, timeout=START_S)


def run_beside_vllm(stage, config, inputs, output):
    done = beside_vllm(stage, config, inputs, output)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def in_process(artifacts, name):
    inputs = {
        "questions": (artifacts / "questions" / "toy" / "1").as_uri(), "checkpoint": (artifacts / "sft" / "tiny" / "1").as_uri()
    }  # fmt: skip
    run_beside_vllm("responses", CONFIG, inputs, (artifacts / "responses" / name / "1").as_uri())
    return read(artifacts, name)


def test_vllm_in_process_and_served_give_every_row_and_the_same_ones(artifacts, endpoint, monkeypatch):
    own = in_process(artifacts, "in-process")
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", endpoint)
    config = CONFIG.model_copy(update={"engine": "openai"})
    questions = (artifacts / "questions" / "toy" / "1").as_uri()
    execute(responses, config, {"questions": [questions]}, (artifacts / "responses" / "served" / "1").as_uri())
    served = read(artifacts, "served")
    assert served.keys() == own.keys()
    assert len({row.text for row in own.values()}) > 3, "samples differ"
    for key, row in own.items():
        other = served[key]
        assert (row.seed, row.prompt_tokens, row.finish_reason in {"stop", "length"}) == (other.seed, other.prompt_tokens, True)
    equal = sum(own[key].text == served[key].text for key in own)
    assert equal >= 27, "equal seeds give equal texts, but for rounding in another batch"


def test_vllm_served_refusals_are_told_apart(endpoint, monkeypatch):
    """What the real server says of a prompt that is too long, and of a model it does not serve."""
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", endpoint)
    engine = load(Sampling(engine="openai", max_tokens=8), "tiny")
    fits, long = (testing.question("1 + 1 " * times) for times in (1, 200))
    asked = [Request((each.question_id, "tiny", "question", 1, 0), each.messages, 7) for each in (fits, long)]
    made = {request.key[0]: completion for request, completion in engine.sample(asked)}
    assert made[fits.question_id].failure == ""
    assert made[long.question_id].failure == "context_overflow"
    with pytest.raises(EngineFailed, match="model tinny is not served at .* did you mean tiny"):
        load(Sampling(engine="openai"), "tinny")


def test_vllm_perplexity_is_that_of_transformers_within_a_thousandth(artifacts):
    """Both in float32: what is left is rounding. The texts begin alike, and one is there twice: nothing may come from a cache."""
    asked = testing.questions(3)
    texts = [(0, "It is 7."), (1, "It is 8."), (2, "zyx wvu tsr " * 4), (0, "It is 7.")]
    given = [testing.response(asked[number], text=text, sample_index=at) for at, (number, text) in enumerate(texts)]
    inputs = {
        "questions": (artifacts / "questions" / "toy" / "1").as_uri(), "scorer": (artifacts / "sft" / "tiny" / "1").as_uri(),
        "responses": (artifacts / "responses" / "scored" / "1").as_uri(),
    }  # fmt: skip
    testing.publish(given, Response, inputs["responses"])
    config = screened.Config(max_perplexity=1e6)
    own, beside = ((artifacts / "screened" / engine / "1") for engine in ("transformers", "vllm"))
    execute(screened, config, {name: [uri] for name, uri in inputs.items()}, own.as_uri())
    run_beside_vllm("screened", config.model_copy(update={"perplexity_engine": "vllm"}), inputs, beside.as_uri())
    expected, found = ([row.perplexity for row in tables.read(each, Screened)] for each in (own, beside))
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[0] == found[3]
    assert found[2] > 2 * found[0], "noise surprises it more"


RL = rl.Config(
    engine="vllm", steps=3, group_size=4, prompts_per_step=2, max_tokens=24, learning_rate=1e-2, system_prompt="none",
    suffix="none", validation=Validation(every=2, temperature=0, max_tokens=16, keep="last"),
)  # fmt: skip


def trained(artifacts, name, before="", **environment):
    """The rl stage beside vLLM: how it ended. Each with a seed of its own: equal work would be reused."""
    config = RL.model_copy(update={"seed": sum(name.encode())})
    inputs = {
        "selected": artifacts / "selected" / "rl" / "1", "questions": artifacts / "questions" / "toy" / "1",
        "checkpoint": artifacts / "sft" / "tiny" / "1", "validation_questions": artifacts / "questions" / "untrained" / "1",
    }  # fmt: skip
    uris = {key: path.as_uri() for key, path in inputs.items()}
    return beside_vllm("rl", config, uris, output(artifacts, name).as_uri(), before, **environment)


def output(artifacts, name):
    return artifacts / "rl" / name / "1"


HEARD = """
import json, os
from stillhouse.training import validation_set
evaluate = validation_set.evaluate
def heard(*given):
    evaluation = evaluate(*given)
    with open(os.environ["HEARD"], "a") as file:
        print(json.dumps({row.question_id: row.text for row in evaluation.responses}), file=file)
    return evaluation
validation_set.evaluate = heard
"""
"""Lines of Python that note what validation was answered, one measurement a line."""


def greedy(directory):
    """The answers of transformers with these weights, by question."""
    sampling = Sampling(max_tokens=16, temperature=0, system_prompt="none", suffix="none")
    with VerifierPool(5) as pool:
        engine = TransformersEngine(str(directory), sampling)
        evaluation = evaluate(engine, partial(verdicts, pool), sampling, "m", UNTRAINED, 1, 1, lambda *_: None)
    return {row.question_id: row.text for row in evaluation.responses}


def require_measured(artifacts, name, heard):
    """After its last step vLLM answered as transformers does with the published weights, and not as before the training."""
    directory = output(artifacts, name)
    assert [line["step"] for line in metrics_file.read(directory) if "validation/pass_at_1" in line] == [2, 3]
    measured = [json.loads(line) for line in heard.read_text().splitlines()]
    assert measured[-1] == greedy(directory) != greedy(artifacts / "sft" / "tiny" / "1")
    assert len(measured) == 2


def test_vllm_writes_rollouts_in_the_trainers_process_with_the_trained_weights(artifacts, tmp_path):
    done = trained(artifacts, "synced", HEARD, HEARD=str(tmp_path / "heard.jsonl"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    metrics = manifests.load(output(artifacts, "synced").as_uri()).metrics
    assert metrics["n_steps"] == 3
    assert metrics["train/sampler/difference_max"] < 1e-4 < metrics["train/sampler/moved"]
    assert metrics["train/sampling/sampling_logp_difference/max"] < 1e-4, "TRL's own comparison, of the rollouts"
    require_measured(artifacts, "synced", tmp_path / "heard.jsonl")


def test_vllm_without_weight_sync_stops_the_run(artifacts):
    deaf = "from stillhouse.training.rl import rollout_engine\nrollout_engine._reload = lambda trainer: None"
    done = trained(artifacts, "stale", deaf)
    assert done.returncode != 0
    assert "error: rollouts: the rollout engine does not have the trained weights" in done.stderr, done.stderr[-4000:]
    assert not (output(artifacts, "stale") / "manifest.json").exists()


def test_vllm_served_scores_tokens_as_the_trainer_does(artifacts, endpoint):
    import requests
    from accelerate import Accelerator

    model, tokenizer = models.load(FromCheckpoint(), artifacts / "sft" / "tiny" / "1", (), 0)
    chat = chat_templates.prepare(tokenizer)
    asked = testing.questions(4)
    prompts = {each.question_id: RolloutPrompt(each, each.messages, chat.ids(chat.prompt(each.messages))) for each in asked}
    probed = pairs(prompts, tokenizer)
    client = SimpleNamespace(model="tiny", base_url=endpoint.removesuffix("/v1"), session=requests.Session())
    trainer = SimpleNamespace(model=model, accelerator=Accelerator(cpu=True))
    assert by_server(client, probed) == pytest.approx(by_trainer(trainer, probed), abs=1e-4)


@pytest.fixture
def served(artifacts, endpoint, tmp_path):
    """What has rollouts written by the server, which is handed the weights through a directory."""
    return {"STILLHOUSE_ROLLOUT_SERVER": endpoint.removesuffix("/v1"), "STILLHOUSE_ROLLOUT_WEIGHTS": str(tmp_path)}


def test_vllm_server_without_weight_sync_stops_the_run(artifacts, served):
    deaf = "from stillhouse.training.rl import weight_sync\nweight_sync.sync_through = lambda trainer, shared: None"
    done = trained(artifacts, "served-stale", deaf, **served)
    assert done.returncode != 0
    assert "error: rollouts: the rollout engine does not have the trained weights" in done.stderr, done.stderr[-4000:]


def test_vllm_server_writes_rollouts_with_the_trained_weights(artifacts, served, tmp_path, tmp_path_factory):
    """The last test of this file: the server goes on with other weights than it came with."""
    heard = tmp_path_factory.mktemp("heard") / "heard.jsonl"
    done = trained(artifacts, "served", HEARD, HEARD=str(heard), **served)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    metrics = manifests.load(output(artifacts, "served").as_uri()).metrics
    assert metrics["n_steps"] == 3
    assert metrics["train/sampler/difference_max"] < 1e-4 < metrics["train/sampler/moved"]
    assert metrics["train/sampling/sampling_logp_difference/max"] < 1e-4, "TRL's own comparison, of the rollouts"
    assert list(tmp_path.iterdir()) == []
    require_measured(artifacts, "served", heard)


PARSES = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
for words in json.load(sys.stdin):
    make_arg_parser(FlexibleArgumentParser()).parse_args(words)
    print(*words)
"""
NODES = [
    "--nnodes", "2", "--node-rank", "1", "--master-addr", "leader", "--master-port", "29500", "--headless",
    "--pipeline-parallel-size", "2",
]  # fmt: skip


def test_arguments_of_teachers_are_those_of_the_pinned_version():
    """What packaged profiles say, and what a teacher of several nodes is started with (operators/serving_objects.py)."""
    folders = [profiles.load(path.parent.name) for path in sorted(recipes.RECIPES.glob("*/profile.yaml"))]
    served = [model for folder in folders for model in folder.profile.models.values() if isinstance(model, ServedModel)]
    told = [list(model.arguments) for model in served if model.arguments]
    assert told
    lines = json.dumps([*told, NODES])
    done = subprocess.run(
        [PYTHON, "-c", PARSES], input=lines, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=START_S
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == " ".join(NODES)
