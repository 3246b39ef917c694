import pytest

from stillhouse.vocabulary.masking import masked, printable

SECRET = "h0rse-Battery"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"http://svc:{SECRET}@host:5000/x failed", "http://***@host:5000/x failed"),
        (f"http://svc:p@{SECRET}@host/", "http://***@host/"),
        (f"mysql+pymysql://u:{SECRET}@db:3306/mlflow", "mysql+pymysql://***@db:3306/mlflow"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f'{{"Authorization": "Basic {SECRET}"}}', '{"Authorization": "***"}'),
        (f"bad key Bearer {SECRET}", "bad key Bearer ***"),
        ("incorrect API key sk-proj-abcDEF123", "incorrect API key sk-***"),
        ("hf_abcdefGHIJKL is expired", "hf_*** is expired"),
        ("check HF_ENDPOINT", "check HF_ENDPOINT"),
        ("AKIAIOSFODNN7EXAMPLE is unknown", "AKIA*** is unknown"),
        (f"https://s3/x?X-Amz-Signature={SECRET}&y=1", "https://s3/x?X-Amz-Signature=***&y=1"),
        (f"https://h/v1?token={SECRET}&n=2", "https://h/v1?token=***&n=2"),
    ],
)
def test_masked_secret_in_its_usual_form_is_replaced(text, expected):
    assert masked(text, {}) == expected


@pytest.mark.parametrize(
    "name", ["STILLHOUSE_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "my_secret"]
)
def test_masked_value_of_a_secret_variable_is_replaced_wherever_it_stands(name):
    assert masked(f"reply: <{SECRET}> again {SECRET}", {name: SECRET}) == "reply: <***> again ***"


def test_masked_several_keys_in_one_variable_are_all_replaced():
    assert masked("first-key-1 and second-key-2", {"STILLHOUSE_API_KEY": "first-key-1,second-key-2"}) == "*** and ***"


@pytest.mark.parametrize(
    "text",
    [
        "user@host wrote to s3://bucket/questions/toy@2/1", "models:/toy@champion", "hf://ORG/NAME@main",
        "the bearer token is wrong", "basic arithmetic, step 3", "max_tokens: 16384", "ask-me sk-1", "http://127.0.0.1:9/health?x=1",
    ],
)  # fmt: skip
def test_masked_text_without_a_secret_is_unchanged(text):
    assert masked(text, {"A_KEY": "k", "PATH": "max_tokens"}) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("large\x1b[31m", r"large\x1b[31m"),
        ("\x1b]0;PWNED\x07", r"\x1b]0;PWNED\x07"),
        ("1 + 1? \x9b31m \u202e", r"1 + 1? \x9b31m \u202e"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("zero\u200bwidth\u2066x\u2069\u2028", r"zero\u200bwidth\u2066x\u2069\u2028"),
        ("lone \ud800", r"lone \ud800"),
        ("naïve 数学 👩‍🔬 ½", "naïve 数学 👩‍🔬 ½"),
    ],
)
def test_printable_controls_are_escaped_and_text_is_kept(text, expected):
    assert printable(text) == expected


def test_printable_kept_characters_stay():
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


def test_printable_of_any_character_leaves_nothing_that_a_terminal_obeys():
    text = printable("".join(map(chr, range(0x3000))))
    controls = [*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    assert [code for code in controls if chr(code) in text] == []
