import json
import shutil

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.sampling import transformers
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request, load
from stillhouse.sampling.transformers import SeededSampler, hashed_uniform
from stillhouse.vocabulary.seeds import row_seed
from tests.architectures import save

HOT = Sampling(engine="transformers", temperature=1.0, top_p=1.0, max_tokens=24, system_prompt="none", suffix="none")


def requests(count, seed=0):
    keys = [(each.question_id, "tiny", "question", 1, index) for index in range(2) for each in testing.questions(count)]
    asked = [each.messages for _ in range(2) for each in testing.questions(count)]
    return [Request(key, messages, row_seed(seed, key)) for key, messages in zip(keys, asked, strict=True)]


def texts(engine, given):
    return {request.key: completion.text for request, completion in engine.sample(given)}


@pytest.fixture(scope="module")
def engine(checkpoint):
    return load(HOT, checkpoint)


def test_sample_row_is_the_same_alone_in_another_batch_and_in_another_order(engine, monkeypatch, checkpoint):
    given = requests(12)
    together = texts(engine, given)
    assert len(together) == 24
    assert len(set(together.values())) > 12, "at temperature 1 the rows differ"
    assert texts(engine, given[:1]) == {given[0].key: together[given[0].key]}
    monkeypatch.setenv("STILLHOUSE_BATCH_ROWS", "5")
    monkeypatch.setattr(transformers, "WINDOW", 7)
    assert texts(load(HOT, checkpoint), iter(given[::-1])) == together


def test_sample_with_another_seed_gives_other_text(engine):
    assert texts(engine, requests(3)) != texts(engine, requests(3, seed=1))


def test_sample_at_temperature_0_ignores_the_seed(checkpoint):
    greedy = load(HOT.model_copy(update={"temperature": 0.0}), checkpoint)
    assert texts(greedy, requests(3)) == texts(greedy, requests(3, seed=1))


def test_sample_cut_at_max_tokens_has_reason_length(checkpoint):
    cut = load(HOT.model_copy(update={"max_tokens": 2}), checkpoint)
    for _, completion in cut.sample(requests(2)):
        assert (completion.finish_reason, completion.completion_tokens) == ("length", 2)


def test_sample_ended_by_the_model_has_reason_stop_and_no_end_token(checkpoint):
    greedy = load(HOT.model_copy(update={"temperature": 0.0, "max_tokens": 90}), checkpoint)
    (_, completion), *_ = greedy.sample(requests(1))
    assert completion.finish_reason == "stop"
    assert completion.text.startswith("<think>")
    assert completion.text.endswith("</answer>")
    assert 2 < completion.completion_tokens < 90
    assert 2 < completion.prompt_tokens < 40


def test_sample_nothing_gives_nothing(engine):
    assert list(engine.sample([])) == []


def test_load_directory_that_is_no_checkpoint_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(EngineFailed, match=r"^model .*: transformers cannot load it: .*give a causal language model") as caught:
        load(HOT, tmp_path)
    assert "\n" not in str(caught.value)


def test_load_torn_weights_is_engine_failed(checkpoint, tmp_path):
    torn = shutil.copytree(checkpoint, tmp_path / "torn")
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(EngineFailed, match="cannot load it"):
        load(HOT, torn)


def test_load_bare_hub_name_is_refused_with_the_form_to_write():
    with pytest.raises(BadConfig, match="model no-such/model: not a model reference; .* written hf://no-such/model"):
        load(HOT, "no-such/model")


def test_load_without_chat_template_says_where_to_add_one(checkpoint, tmp_path):
    bare = shutil.copytree(checkpoint, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(EngineFailed, match="no chat template; add one to tokenizer_config.json"):
        load(HOT, bare)


def test_load_tokenizer_without_padding_token_pads_with_the_end(checkpoint, tmp_path):
    bare = shutil.copytree(checkpoint, tmp_path / "bare")
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    assert texts(load(HOT, bare), requests(3)) == texts(load(HOT, checkpoint), requests(3))


def test_hashed_uniform_is_uniform_in_every_direction():
    import torch

    seeds = torch.arange(200) * 7919
    drawn = hashed_uniform(seeds, 3, 500)
    assert drawn.shape == (200, 500)
    assert 0 < drawn.min() < drawn.max() < 1
    for values in (
        drawn.flatten(),
        hashed_uniform(torch.tensor([5]), 0, 50_000)[0],
        hashed_uniform(torch.arange(50_000), 0, 1)[:, 0],
    ):
        ordered = values.sort().values
        steps = torch.arange(1, len(values) + 1, dtype=torch.float64) / len(values)
        # Kolmogorov–Smirnov: above 1.95 / sqrt(n) once in a thousand draws; these draws are always the same.
        assert (ordered - steps).abs().max() < 1.95 / len(values) ** 0.5
    by_position = torch.stack([hashed_uniform(torch.tensor([5]), position, 300)[0] for position in range(300)])
    assert abs(torch.corrcoef(torch.stack([by_position[:-1].flatten(), by_position[1:].flatten()]))[0, 1]) < 0.01
    assert abs(torch.corrcoef(torch.stack([drawn[:, :-1].flatten(), drawn[:, 1:].flatten()]))[0, 1]) < 0.01


def splitmix64(seed, position, token):
    """The finaliser in whole numbers: what torch's signed arithmetic has to come to."""
    wrap = (1 << 64) - 1
    bits = (seed + token * 0x9E3779B97F4A7C15 + position * 0xD1B54A32D192ED03) & wrap
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & wrap
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & wrap
    return (((bits ^ bits >> 31) >> 40) + 0.5) / (1 << 24)


def test_hashed_uniform_is_splitmix64_of_seed_position_and_token():
    import torch

    seeds = [0, 3, (1 << 62) - 1]
    expected = [[splitmix64(seed, 4, token) for token in range(600)] for seed in seeds]
    assert hashed_uniform(torch.tensor(seeds), 4, 600).tolist() == expected


def sampled(scores, sampling, seeds):
    import torch

    ids = torch.zeros(len(seeds), 4, dtype=torch.int64)
    return SeededSampler(seeds, 4, sampling)(ids, torch.tensor([scores]).repeat(len(seeds), 1)).argmax(dim=1)


def frequencies(scores, sampling, count=40_000):
    import torch

    return torch.bincount(sampled(scores, sampling, list(range(count))), minlength=len(scores)) / count


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
def test_seeded_sampler_draws_by_the_tempered_softmax(temperature):
    import torch

    scores = [2.0, 1.0, 0.0, -1.0, float("-inf")]
    found = frequencies(scores, HOT.model_copy(update={"temperature": temperature}))
    expected = (torch.tensor(scores) / temperature).softmax(0)
    # Four standard deviations of a share estimated from 40,000 draws.
    assert (found - expected).abs().max() < 4 * 0.5 / 40_000**0.5
    assert found[4] == 0


def test_seeded_sampler_top_p_keeps_the_smallest_set_that_reaches_it():
    import torch

    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    found = frequencies(scores, HOT.model_copy(update={"top_p": 0.7}))
    assert found[2] == found[3] == 0
    assert abs(found[0] - 0.5 / 0.8) < 0.01
    assert frequencies(scores, HOT.model_copy(update={"top_p": 0.4}), 100)[0] == 1


def test_seeded_sampler_at_temperature_0_is_argmax():
    assert set(sampled([0.1, 0.3, 0.2], HOT.model_copy(update={"temperature": 0.0}), list(range(50))).tolist()) == {1}


def test_sample_mixture_of_experts_that_returns_router_logits_answers_prompts_of_different_lengths(tmp_path):
    """As trainers publish it: transformers weighs those logits by the mask, which generation has for more tokens."""
    directory = save("gpt-oss", tmp_path / "moe")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"output_router_logits": True}))
    asked = [testing.question("What is 1 + 1?"), testing.question("What is 11 + 12 + 13?")]
    given = [Request((row.question_id, "moe", "question", 1, 0), row.messages, 1) for row in asked]
    completions = [completion for _, completion in load(HOT, directory).sample(given)]
    assert [completion.failure for completion in completions] == ["", ""]
    assert all(completion.completion_tokens > 0 for completion in completions)
