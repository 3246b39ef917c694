import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig, BadRows
from stillhouse.verification.verdict import Verdict, VerificationRequest, make_request
from stillhouse.verification.verifier import BUILT_IN, LoadedVerifiers, Verifier, with_libraries
from stillhouse.vocabulary.categories import FACTS


class Contains(Verifier):
    method = "contains"

    def verify(self, request):
        met = str(request.reference) in str(request.answer)
        return Verdict("correct" if met else "wrong", float(met), self.method)


def test_verifier_needs_no_more_than_verify():
    verifier, request = Contains(), make_request(testing.question(), "It is 2.")
    verifier.warm()
    assert verifier.fast_path(request) is None
    assert verifier.fast_path(make_request(testing.question(), None)) == Verdict("no_answer", 0.0, "contains")
    assert verifier.deadline_s(request, 0.9) == 0.9
    assert (verifier.trimmed(request).messages, verifier.trimmed(request).answer) == ((), "It is 2.")
    assert verifier.known_answers(testing.question()) == ()
    assert verifier.verify(request).kind == "correct"


def test_built_in_table_holds_every_verifier_that_the_categories_name_and_all_of_them_load():
    assert {facts.verifier for facts in FACTS.values()} - {"judge"} == set(BUILT_IN)
    loaded = LoadedVerifiers({})
    for category, facts in FACTS.items():
        assert (category in loaded) == (facts.verifier in BUILT_IN)
        if category in loaded:
            assert Verifier in type(loaded.of(category)).__mro__
            assert loaded.of(category) is loaded.of(category)


def test_loaded_verifiers_extension_stands_in_place_of_the_table_s():
    loaded = LoadedVerifiers({"science": "math", "code": f"{__name__}:Contains"})
    assert type(loaded.of("science")) is type(loaded.of("math"))
    assert loaded.names["code"] == f"{__name__}:Contains"


def test_loaded_verifiers_category_that_no_rule_scores_is_refused():
    with pytest.raises(BadRows, match="'other', only for math"):
        LoadedVerifiers({}).of("other")


def test_loaded_verifiers_class_that_is_no_verifier_is_refused():
    with pytest.raises(BadConfig, match=r"fractions:Fraction: .* is not a Verifier; derive a class from stillhouse\.verif"):
        LoadedVerifiers({"math": "fractions:Fraction"}).of("math")


def test_verdict_long_detail_is_shortened_with_a_mark():
    assert Verdict("wrong", 0.0, "x", "a" * 400).detail == "a" * 299 + "…"


def test_make_request_takes_all_columns_of_the_question():
    question = testing.question(test_cases="[]", constraints="{}")
    assert make_request(question, "2", "length") == VerificationRequest(
        "math", "2", "2", "length", "[]", "{}", "user: What is 1 + 1?", question.messages
    )


def test_with_libraries_names_the_verifier_of_code_that_has_them():
    assert with_libraries({"math": "mine@1"}, "standard") == {"math": "mine@1"}
    assert with_libraries({}, "scientific") == {"code": "code_scientific"}
    assert with_libraries({"code": "mine@1"}, "scientific") == {"code": "mine@1"}
    assert LoadedVerifiers(with_libraries({}, "scientific")).of("code").method == "sandbox, scientific libraries"
