import re

import pytest

from stillhouse.models import chat_templates
from stillhouse.training.data import shown_tokens
from stillhouse.training.data.shown_tokens import ShownToken, counts, shortened_tokens, shown
from tests.architectures import tokenizer_of


@pytest.mark.parametrize("name", ["qwen2.5", "gemma3", "mistral", "r1-distill", "gpt-oss"])
def test_shown_tokens_together_are_the_text_and_those_learnt_are_marked(name):
    tokenizer = tokenizer_of(name)
    chat = chat_templates.prepare(tokenizer)
    ids = chat.ids(f"{chat.end_token}It is 数 🧮 so.")
    tokens = shown(ids, [(1, len(ids) - 1)], tokenizer)
    assert "".join(token.text for token in tokens) == tokenizer.decode(ids)
    assert [number for token in tokens for number in token.ids] == ids
    places = [place for token in tokens for place in [token.is_learnt] * len(token.ids)]
    assert places == [False, *[True] * (len(ids) - 2), False]
    assert "数" in {token.text for token in tokens}, "a character of several tokens is one"


def test_write_page_escapes_what_it_shows_and_counts_what_is_learnt(tmp_path):
    tokens = [ShownToken("<script>", (1,), is_learnt=False), ShownToken("数", (2, 3), is_learnt=True)]
    shown_tokens.write_page(tmp_path / "new" / "page.html", "a & b", ["a <fact>"], [tokens])
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert re.search(r'<span title="1">&lt;script&gt;</span><span class="learnt" title="2, 3">数</span>', page)
    assert "Example 1: 3 tokens, 2 learnt" in page
    assert "<li>a &lt;fact&gt;</li>" in page


def test_shortened_tokens_keep_both_ends():
    tokens = [ShownToken(str(number), (number,), is_learnt=number > 5) for number in range(100)]
    short = list(shortened_tokens(tokens, 10))
    assert [token.text for token in short] == [*map(str, range(5)), "\n… 90 tokens …\n", *map(str, range(95, 100))]
    assert list(shortened_tokens(tokens)) == tokens
    assert counts(tokens) == "100 tokens, 94 learnt"
