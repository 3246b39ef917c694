import pytest

from stillhouse import testing
from stillhouse.api.inspect_command import inspect_model
from stillhouse.errors import BadConfig, EngineFailed, NothingToDo
from stillhouse.vocabulary.rows import Selected
from tests.architectures import save, tokenizer_of


@pytest.fixture(scope="module")
def r1(tmp_path_factory):
    return save("r1-distill", tmp_path_factory.mktemp("models") / "r1")


def test_inspect_prints_the_tokens_with_those_learnt_and_what_the_template_does(r1, capsys, tmp_path):
    inspect_model(str(r1), "laptop/sft-1", ["response_format=own"], page=tmp_path / "page.html")
    said = capsys.readouterr().out
    assert "a turn ends with <｜end▁of▁sentence｜>" in said
    assert "the prompt opens the thinking with '<think>\\n', which is therefore read and not learnt" in said
    assert "example 1: 34 tokens, 20 learnt" in said
    assert "<｜User｜>What is 7 * 8?<｜Assistant｜><think>" in said
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<span class="learnt"' in page
    assert "34 tokens, 20 learnt" in page


def test_inspect_shows_the_first_examples_of_the_split_and_names_those_that_would_be_dropped(r1, capsys, tmp_path):
    asked = testing.questions(3)
    rows = [testing.selected(asked[0], "anneal"), *(testing.selected(each) for each in asked[1:])]
    silent = testing.question("What is 5 + 5?", "10")
    rows.append(testing.selected(silent, messages=silent.messages))
    uri = (tmp_path / "selected" / "toy" / "1").as_uri()
    testing.publish(rows, Selected, uri)
    inspect_model(str(r1), "laptop/sft-1", [], selected=uri, examples=3)
    said = capsys.readouterr().out
    assert (said.count("example "), "What is 1 + 7?" in said, "What is 0 + 7?" in said) == (2, True, False)
    assert f"dropped {rows[-1].example_id}: no_response: its last message is the user's" in said
    with pytest.raises(NothingToDo, match="split 'nowhere' has no example"):
        inspect_model(str(r1), "laptop/sft-1", ["split=nowhere"], selected=uri)


def test_inspect_template_that_cannot_be_trained_with_says_what_to_set(tmp_path):
    tokenizer = tokenizer_of("smollm2")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}"
    save("smollm2", tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(EngineFailed, match="a prompt and its response cannot be told apart.*set chat_template to one"):
        inspect_model(str(tmp_path / "model"), "laptop/sft-1", [])


@pytest.mark.parametrize(
    ("recipe", "settings", "problem"),
    [
        ("laptop/responses", [], "recipes of sft and rl train on tokens, got one of 'responses'"),
        ("laptop/sft-9", [], "did you mean @laptop/sft-"),
        ("laptop/sft-1", ["chat_tempalte=x"], "no such field"),
        ("laptop/sft-1", ["chat_template=qwen3_trainin"], "no file and no known name; did you mean qwen3_training"),
        ("laptop/sft-1", ["eos_token=<eox>"], "eos_token '<eox>': not in the vocabulary"),
    ],
)
def test_inspect_typo_in_recipe_or_field_is_refused(r1, recipe, settings, problem):
    with pytest.raises(BadConfig, match=problem) as caught:
        inspect_model(str(r1), recipe, settings)
    assert "\n" not in str(caught.value)
