import subprocess
import sys

import pytest

from operators import air_gap
from stillhouse import stages
from stillhouse.execution import profiles

VALUES = {"images": {"registry": "r.example/s", "tag": "1"}, "postgres": {"enabled": True, "image": "postgres:17"}}


def needed(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for kind, what, _ in air_gap.needs([profiles.load(name)], VALUES):
        found.setdefault(kind, set()).add(what)
    return found


def test_every_image_that_a_stage_of_the_profile_runs_is_listed():
    stems = profiles.load("deepdistill-32b").recipes
    images = {f"r.example/s/{stages.entry_of(stem.partition('-')[0]).image}:1" for stem in stems}
    assert images | {"r.example/s/vllm:1", "r.example/s/airflow:1", "postgres:17"} <= needed("deepdistill-32b")["image"]


def test_models_and_data_of_profile_recipes_and_benchmarks_are_listed():
    found = needed("deepdistill-32b")
    assert "hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-7B" in found["model"]
    assert "hf://RLHFlow/Decision-Tree-Reward-Llama-3.1-8B" in found["model"]
    assert any(name.startswith("hf://datasets/open-r1/OpenR1-Math-220k@") for name in found["data set"])
    assert any("gpqa" in name.lower() for name in found["data set"])


def test_profile_of_the_laptop_needs_nothing_of_the_hub():
    assert needed("toy").keys() == {"image"}


@pytest.mark.parametrize(("words", "said"), [(["tyo"], "no profile 'tyo'"), (["toy", "--values", "none.yaml"], "none.yaml")])
def test_wrong_word_is_one_line(words, said):
    done = subprocess.run([sys.executable, "-m", "operators.air_gap", *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert (said in done.stderr, done.stderr.count("\n")) == (True, 1)
