from stillhouse.benchmarks.paired import differences


def report(passed, protocol="p1", numbers=("1",), questions=("a", "b", "c", "d")):
    rounds = {number: {each: [place < passed] for place, each in enumerate(questions)} for number in numbers}
    return {"arithmetic": {"protocol": protocol, "rounds": rounds}}


def test_differences_are_by_round_and_on_shared_questions():
    made = differences(report(3, numbers=("1", "2")), report(1, numbers=("2", "1", "3"), questions=("b", "a", "z")))
    assert list(made) == ["arithmetic/round_1", "arithmetic/round_2"]
    assert made["arithmetic/round_1"].mean == 0.5


def test_differences_of_other_protocols_are_none():
    assert differences(report(3), report(1, protocol="p2")) == {}


def test_differences_without_a_shared_question_are_none():
    assert differences(report(3), report(1, questions=("z",))) == {}
