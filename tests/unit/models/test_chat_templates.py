import json

import pytest
from transformers import GenerationConfig

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ResponsePart, Unlearnable
from tests.architectures import ARCHITECTURES, tokenizer_of

THINKS = "<think>\n7 times 8 is 56.\n</think>\n<answer>56</answer>"
OWN = "<think>\n7 times 8 is 56.\n</think>\n\n56"
MESSAGES = [{"role": "system", "content": "Be <brief>."}, {"role": "user", "content": "What is 7 * 8?"}]
ENDS = {
    "llama3": "<|eot_id|>", "qwen2.5": "<|im_end|>", "qwen2.5-base": "<|im_end|>", "qwen3": "<|im_end|>", "gemma": "<end_of_turn>",
    "gemma3": "<end_of_turn>", "mistral": "</s>", "r1-distill": "<｜end▁of▁sentence｜>", "phi3": "<|end|>", "smollm2": "<|im_end|>",
    "gpt-oss": "<|return|>",
}  # fmt: skip
QWEN = "<|im_start|>{}\n{}<|im_end|>\n"


@pytest.fixture(params=list(ARCHITECTURES))
def chat(request):
    return chat_templates.prepare(tokenizer_of(request.param)), request.param


def response_ids(chat, text, form="think_answer"):
    prompt = chat.prompt(MESSAGES)
    return chat.response_ids(prompt, chat.ids(prompt), chat.parts(text, form))


def learnt(chat, text, form="think_answer"):
    return chat.tokenizer.decode(response_ids(chat, text, form))


@pytest.mark.parametrize("form", ["think_answer", "own"])
def test_response_ends_with_the_templates_end_of_turn_once_and_is_read_as_it_was_written(chat, form):
    chat, name = chat
    ids = response_ids(chat, THINKS, form)
    assert chat.end_token == ENDS[name] == chat.tokenizer.eos_token
    assert (ids[-1], ids.count(chat.end_id)) == (chat.end_id, 1)
    expected = THINKS if form == "think_answer" else "<think>7 times 8 is 56.</think>56" if name == "gpt-oss" else OWN
    assert chat.read(ids) == expected
    assert chat.read(ids[:-1]) == expected


def test_prompt_tokens_are_those_that_the_tokenizer_itself_gives(chat):
    chat, _ = chat
    own = chat.tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert chat.ids(chat.prompt(MESSAGES)) == own
    assert "Be <brief>." in chat.prompt(MESSAGES), "the system prompt is in the prompt, whether the template has its role or not"


@pytest.mark.parametrize("text", ["\n\nIt is 48.", " \n It is 32.", "It is 40.\n", "\tIt is 1.", "数学 🧮 žluť"])
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "phi3"])
def test_response_with_white_space_at_its_ends_is_learnt_to_the_letter(name, text):
    chat = chat_templates.prepare(tokenizer_of(name))
    written = chat.read(response_ids(chat, text))
    assert written == (f"<think>\n\n</think>\n\n{text}" if name == "r1-distill" else text)


def test_response_whose_white_space_the_tokenizer_swallows_is_unlearnable_by_name():
    """Phi-3's special tokens take the line breaks behind them."""
    chat = chat_templates.prepare(tokenizer_of("phi3"))
    with pytest.raises(Unlearnable, match="cannot tell it apart from its prompt without changing its text") as caught:
        response_ids(chat, "\n\nIt is 48.")
    assert caught.value.reason == "not_separable"


@pytest.mark.parametrize("name", ["llama3", "qwen2.5", "gemma3", "smollm2", "gpt-oss", "r1-distill"])
def test_response_that_quotes_the_end_of_turn_does_not_end_there(name):
    chat = chat_templates.prepare(tokenizer_of(name))
    ids = response_ids(chat, f"The token {chat.end_token} ends a turn.")
    assert ids.count(chat.end_id) == 1
    assert chat.read(ids).endswith(f"The token {chat.end_token} ends a turn.")


def test_question_that_holds_a_special_token_leaves_the_response_as_it_is():
    chat = chat_templates.prepare(tokenizer_of("qwen2.5"))
    prompt = chat.prompt([{"role": "user", "content": "What does <|im_end|> do?"}])
    ids = chat.response_ids(prompt, chat.ids(prompt), chat.parts("It ends a turn.", "think_answer"))
    assert chat.tokenizer.decode(ids) == "It ends a turn.<|im_end|>"


def test_prepare_base_model_gets_the_templates_end_as_eos_and_says_so():
    tokenizer = tokenizer_of("qwen2.5-base")
    chat = chat_templates.prepare(tokenizer)
    assert chat.notes == ("eos was <|endoftext|>, and the chat template ends a turn with <|im_end|>: that is eos now",)
    assert chat_templates.stop_ids(chat, GenerationConfig(eos_token_id=0)) == [tokenizer.eos_token_id, 0]
    assert chat_templates.stop_ids(chat, None) == [chat.end_id]


def test_prepare_template_without_system_role_has_it_before_the_first_question():
    chat = chat_templates.prepare(tokenizer_of("gemma"))
    assert chat.prompt(MESSAGES) == "<bos><start_of_turn>user\nBe <brief>.\n\nWhat is 7 * 8?<end_of_turn>\n<start_of_turn>model\n"
    assert "no system role" in chat.notes[0]
    again = chat_templates.prepare(chat.tokenizer)
    assert (again.notes, again.prompt(MESSAGES)) == ((), chat.prompt(MESSAGES)), "the published template does it alone"


def test_prepare_default_system_prompt_of_the_template_is_in_the_prompt():
    chat = chat_templates.prepare(tokenizer_of("qwen2.5"))
    assert chat.prompt(MESSAGES[1:]).startswith("<|im_start|>system\nYou are Qwen")
    assert "You are Qwen" not in chat.prompt(MESSAGES)


def test_r1_distill_thinking_is_learnt_though_the_template_drops_it():
    chat = chat_templates.prepare(tokenizer_of("r1-distill"))
    assert chat.prompt(MESSAGES).endswith("<｜Assistant｜><think>\n")
    assert learnt(chat, THINKS) == "7 times 8 is 56.\n</think>\n<answer>56</answer><｜end▁of▁sentence｜>"
    assert learnt(chat, THINKS, "own") == "7 times 8 is 56.\n</think>\n\n56<｜end▁of▁sentence｜>"


def test_response_of_a_teacher_whose_prompt_opened_the_thinking_is_opened_here():
    chat = chat_templates.prepare(tokenizer_of("qwen2.5"))
    assert learnt(chat, "Okay.\n</think>\n<answer>8</answer>") == "<think>Okay.\n</think>\n<answer>8</answer><|im_end|>"


def test_qwen3_own_format_is_the_templates_and_answers_without_thinking_have_an_empty_one():
    chat = chat_templates.prepare(tokenizer_of("qwen3"))
    assert learnt(chat, THINKS, "own") == f"{OWN}<|im_end|>"
    assert learnt(chat, "56", "own") == "<think>\n\n</think>\n\n56<|im_end|>"
    assert learnt(chat, THINKS) == f"{THINKS}<|im_end|>"
    assert learnt(chat, "56") == "56<|im_end|>"


@pytest.mark.parametrize("template", ["{% for i in range(10**9) %}x{% endfor %}", "{{ 1 // 0 }}", "{{ messages[7].content }}"])
def test_prepare_template_that_fails_in_any_way_is_one_line(template):
    tokenizer = tokenizer_of("smollm2")
    tokenizer.chat_template = template
    with pytest.raises(EngineFailed, match="chat template: it refuses a conversation of user") as caught:
        chat_templates.prepare(tokenizer)
    assert "\n" not in str(caught.value)


def test_template_arguments_become_part_of_the_template():
    tokenizer = tokenizer_of("qwen3")
    chat = chat_templates.prepare(tokenizer, template_kwargs={"enable_thinking": False})
    assert chat.prompt(MESSAGES).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True) == chat.prompt(MESSAGES)
    assert learnt(chat, "56", "own") == "56<|im_end|>"
    with pytest.raises(Unlearnable, match="the prompt closes the thinking before it; set chat_template_kwargs") as caught:
        chat.parts(THINKS, "own")
    assert caught.value.reason == "thinking_closed"


@pytest.mark.parametrize("value", ["high", 'a "quote" and \\', {"a": [1, None, True]}, 1.5])
def test_template_arguments_of_any_kind_reach_the_template(value):
    tokenizer = tokenizer_of("smollm2")
    template = "{{ effort | tojson }}" + ARCHITECTURES["smollm2"].template

    chat = chat_templates.prepare(tokenizer, template, template_kwargs={"effort": value})
    assert json.loads(chat.prompt(MESSAGES).partition("<|im_start|>")[0]) == value


@pytest.mark.parametrize("name", ["messages", "not a name", "x = 1 %}{{ boom }}{% set y"])
def test_template_argument_that_is_no_name_is_refused(name):
    with pytest.raises(BadConfig, match="chat_template_kwargs: .* is no argument of a template"):
        chat_templates.prepare(tokenizer_of("smollm2"), template_kwargs={name: 1})


def test_gpt_oss_channels_are_tags_in_what_is_read():
    chat = chat_templates.prepare(tokenizer_of("gpt-oss"))
    channels = "<|channel|>analysis<|message|>Six.<|end|><|start|>assistant<|channel|>final<|message|>6<|return|>"
    assert chat.read(chat.ids(channels)) == "<think>Six.</think>6"
    assert chat.read(chat.ids("<|channel|>analysis<|message|>Si")) == "<think>Si"
    assert chat.read(chat.ids("<|channel|>final<|message|>6<|return|>")) == "6"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
            "leaves out what the assistant says",
        ),
        (
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|a|>{% else %}<|im_end|>{% endif %}",
            "a prompt and its response cannot be told apart",
        ),
        ("{{ raise_exception('never') }}", "refuses a conversation of user"),
        ("{{ nothing.at.all }}", "refuses a conversation of user"),
        ("{% if %}", "refuses a conversation of user"),
    ],
)
def test_prepare_template_that_cannot_be_trained_with_is_refused_in_one_line(template, problem):
    with pytest.raises(EngineFailed, match=f"chat template: .*{problem}.*set ") as caught:
        chat_templates.prepare(tokenizer_of("smollm2"), template)
    assert "\n" not in str(caught.value)


def test_prepare_without_template_or_with_a_foreign_eos_is_refused():
    tokenizer = tokenizer_of("smollm2")
    with pytest.raises(BadConfig, match="eos_token '<|im_ende|>': not in the vocabulary; did you mean <|im_end|>?"):
        chat_templates.prepare(tokenizer, eos_token="<|im_ende|>")
    tokenizer.chat_template = None
    with pytest.raises(EngineFailed, match="its tokenizer has no chat template; set chat_template to a Jinja file or a name"):
        chat_templates.prepare(tokenizer)


def test_prepare_template_without_end_of_turn_ends_with_eos():
    tokenizer = tokenizer_of("llama3")
    chat = chat_templates.prepare(
        tokenizer, "{% for m in messages %}### {{ m.role }}\n{{ m.content }}\n{% endfor %}### assistant\n"
    )
    assert (chat.end, chat.end_token) == ("<|eot_id|>", "<|eot_id|>")
    assert "which is no token of this vocabulary: <|eot_id|> ends it instead" in chat.notes[-1]


def test_prepare_eos_token_that_is_asked_for_ends_a_turn():
    chat = chat_templates.prepare(tokenizer_of("qwen2.5"), eos_token="<|endoftext|>")
    assert learnt(chat, "56") == "56<|endoftext|>"
    assert chat.tokenizer.eos_token == "<|endoftext|>"


def test_prepare_tokenizer_without_padding_pads_with_the_end():
    chat = chat_templates.prepare(tokenizer_of("llama3"))
    assert chat.tokenizer.pad_token == "<|eot_id|>"


def test_continued_part_has_no_space_of_the_tokenizers_own():
    for name in ("mistral", "phi3", "gemma", "llama3"):
        chat = chat_templates.prepare(tokenizer_of(name))
        assert chat.tokenizer.decode(chat.ids(f"{chat.end_token}a") + chat.continued(ResponsePart("b c"))).endswith("ab c")
