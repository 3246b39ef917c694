"""An exported folder in the hands of the trainers that read it: LLaMA-Factory, verl and axolotl, by their own loaders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.exchange.export import export
from stillhouse.vocabulary.rows import Question, Selected

PACKAGES = Path(sys.prefix) / "share" / "stillhouse" / "loaders"
pytestmark = [
    pytest.mark.timeout(560),
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="the trainers' packages are missing: run `make loaders`"),
]
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "1 + 1?"}]
TALK = testing.question(messages=[SYSTEM, *TURNS], source="talk")
ANSWER = "<think>\nx\n</think>\n<answer>2</answer>"
TASK = testing.question("How much is 3 + 5?", "8", source="toy")
CODE = testing.question("Write f.", None, category="code", test_cases='{"assert_case": ["assert f()"]}', source="kata")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A release of a conversation to learn, and of two prompts for RL."""
    root = tmp_path_factory.mktemp("house")
    answered = [*TALK.messages, {"role": "assistant", "content": ANSWER}]
    rows = [testing.selected(TALK, "anneal", messages=answered)]
    rows += [
        testing.selected(each, "rl_1", messages=each.messages, model=None, example_id=each.question_id) for each in (TASK, CODE)
    ]
    testing.publish([TALK, TASK, CODE], Question, f"{root}/questions/toy/1")
    testing.publish(rows, Selected, f"{root}/selected/toy/1")
    forms = ["messages", "alpaca", "sharegpt", "prompts", "verl"]
    export([f"{root}/selected/toy/1", f"{root}/questions/toy/1"], forms, f"{root}/out")
    return root / "out"


def loaded(trainer, folder):
    """What a trainer's loader made of the folder."""
    words = [sys.executable, "-m", "tests.services.trainer_loaders", trainer, str(PACKAGES), str(folder)]
    settings = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder.parent / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_llama_factory_reads_every_form_that_dataset_info_names(folder):
    rows = loaded("llama_factory", folder)
    assert set(rows) == {"messages/anneal", "alpaca/anneal", "sharegpt/anneal"}
    for (row,) in rows.values():
        assert row["_prompt"] == TURNS
        assert row["_response"] == [{"role": "assistant", "content": ANSWER}]
        assert row["_system"] == "Be brief."


def test_verl_reads_prompts_for_rl_and_learns_answers_alone(folder):
    rows = loaded("verl", folder)
    first, second = rows["rl"]
    assert (first["raw_prompt"], first["data_source"], first["ability"]) == (TASK.messages, "toy", "math")
    assert first["reward_model"] == {"style": "rule", "ground_truth": "8"}
    assert second["reward_model"]["ground_truth"] == CODE.test_cases
    assert rows["sft"] == [f"Hi<|im_end|>\n{ANSWER}<|im_end|>\n"]


def test_axolotl_learns_the_answers_of_chats_and_of_alpaca(folder):
    learnt = loaded("axolotl", folder)
    assert learnt["messages"] == [f"Hi<|im_end|>{ANSWER}<|im_end|>"]
    assert learnt["alpaca"] == [f"{ANSWER}<|im_end|>"]
