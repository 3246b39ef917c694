import json

import pytest
from typer.testing import CliRunner

from stillhouse.__main__ import app
from stillhouse.errors import BadConfig, MissingInput
from stillhouse.models import published_configs

CONFIG = published_configs.PUBLISHED["Qwen2.5-1.5B"]


def printed(*words):
    result = CliRunner().invoke(app, ["fit", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_fit_prints_every_placement_and_the_fastest_that_fits():
    text = printed("qwen2.5-7b", "--gpus", "8", "--max-length", "16384")
    assert text.startswith("qwen2.5-7b: 7.62 billion parameters, 8 x 79 GiB, 16,384 tokens; GiB on each GPU\n")
    assert text.count("zero-") >= 15
    assert "fastest that fits: STILLHOUSE_SHARDING=zero-" in text
    assert "GB on disk" in text


def test_fit_of_a_model_that_fits_nowhere_says_what_would_help():
    text = printed("Qwen2.5-72B", "--max-length", "32768")
    assert "nothing fits with a tenth to spare" in text
    assert "yes" not in text


@pytest.mark.parametrize("words", [["--stage", "rl"], ["--rollouts"], ["--gpu-memory", "24"], ["--lora", "16"]])
def test_fit_takes_what_a_run_holds_into_account(words):
    assert printed("Qwen2.5-1.5B", *words) != printed("Qwen2.5-1.5B")


def test_fit_reads_a_directory_and_a_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"text_config": CONFIG}))
    by_name = printed("Qwen2.5-1.5B").split(":", 1)[1]
    assert printed(str(tmp_path)).split(":", 1)[1] == by_name
    assert printed(str(tmp_path / "config.json")).split(":", 1)[1] == by_name


def test_fit_of_a_mistyped_name_is_corrected():
    with pytest.raises(BadConfig, match=r"model Qwen2.5-7: no directory, .* did you mean Qwen2.5-7B\?"):
        printed("Qwen2.5-7")


def test_fit_of_a_directory_without_a_config_is_refused(tmp_path):
    with pytest.raises(MissingInput, match=r"the directory has no config.json"):
        printed(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]"])
def test_fit_of_a_file_that_is_no_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((BadConfig, MissingInput), match="config"):
        printed(str(tmp_path))


def test_fit_of_an_architecture_without_those_sizes_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8, "vocab_size": 10}))
    with pytest.raises(BadConfig, match="does not say 'num_hidden_layers'; fit knows decoder-only transformers"):
        printed(str(tmp_path))
