import pytest

from stillhouse.models import chat_templates, template_texts
from stillhouse.stages import sft
from stillhouse.training.config import FromScratch
from tests.architectures import tokenizer_of


def test_resolved_takes_a_text_a_file_or_a_name(tmp_path):
    file = tmp_path / "own.jinja"
    file.write_text("{{ messages }}", encoding="utf-8")
    assert template_texts.resolved(str(file)) == "{{ messages }}" == template_texts.resolved("{{ messages }}")
    assert template_texts.resolved("chatml") == template_texts.CHATML
    assert "generation" in template_texts.resolved("qwen3_training"), "TRL's"


def test_resolved_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"chat_template 'qwen3_trainin': no file and no known name; did you mean qwen3_training\?"
    ):
        template_texts.resolved("qwen3_trainin")


def test_resolved_name_of_trl_stays_a_name_where_trl_is_not_installed(monkeypatch):
    monkeypatch.setattr(template_texts, "find_spec", lambda name: None)
    assert template_texts.resolved("qwen3_training") == "qwen3_training"
    with pytest.raises(ValueError, match="no file and no known name"):
        template_texts.resolved("missing.jinja")


def test_config_keeps_the_text_of_its_template_and_nothing_if_it_names_none():
    init = FromScratch(kind="scratch")
    assert sft.Config(init=init, chat_template="plain").model_dump()["chat_template"] == template_texts.PLAIN
    assert not {"chat_template", "chat_template_kwargs", "eos_token", "response_format"} & set(sft.Config(init=init).model_dump())


@pytest.mark.parametrize(("template", "name", "end"), [("chatml", "qwen2.5", "<|im_end|>"), ("plain", "llama3", "<|eot_id|>")])
def test_own_templates_end_a_turn_with_a_token_of_the_vocabulary(template, name, end):
    chat = chat_templates.prepare(tokenizer_of(name), template)
    prompt = chat.prompt([{"role": "user", "content": "6 * 7?"}])
    ids = chat.response_ids(prompt, chat.ids(prompt), chat.parts("42", "think_answer"))
    assert chat.tokenizer.decode(ids) == f"42{end}"
