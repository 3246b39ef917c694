from stillhouse.exchange import am_1_4m, am_40m, conversations
from stillhouse.exchange.features import features


def test_features_texts_numbers_and_json_of_the_flat_rows():
    made = {each["name"]: each["dtype"] for each in am_40m.columns(["DeepSeek-R1", "mine"])}
    assert {name for name, kind in made.items() if kind == "float64"} == {
        "verify_score", "ppl", "pass_rate_r1", "pass_rate_7b", "pass_rate_1.5b", "pass_rate_mine",
    }  # fmt: skip
    assert (made["question"], made["test_case"]) == ("string", "string")


def test_features_turns_are_a_list_of_structures_under_their_written_names():
    system, turns = features(conversations.ConversationRow)
    assert system == {"name": "system", "dtype": "string"}
    assert [each["name"] for each in turns["list"]] == ["from", "value", "info"]


def test_features_tests_that_may_be_a_text_are_the_structure_that_is_written():
    (turns,) = am_1_4m.columns([])
    info = {each["name"]: each for each in turns["list"]}["info"]
    tests = {each["name"]: each for each in info["struct"]}["test_case"]
    assert tests["struct"] == [{"name": "test_code", "dtype": "string"}, {"name": "test_entry_point", "dtype": "string"}]
