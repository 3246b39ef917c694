import numpy as np

from stillhouse.curation.boilerplate import SharedSentences

INSTRUCTION = "You are an assistant with a calendar and a mail box. Read the request with care: never call a tool twice.\nRequest: "


def asked(text):
    return [{"role": "user", "content": text}]


def shared(texts, least=3):
    counted = SharedSentences(least)
    for text in texts:
        counted.add(asked(text))
    return counted, counted.count()


def test_rest_of_a_task_behind_an_instruction_is_the_task():
    tasks = ["wake me at dawn", "play some jazz", "is it raining in Oslo?"]
    counted, found = shared([*(INSTRUCTION + task for task in tasks), "What is 1 + 1?"])
    assert found.tolist() == [0, 1, 2]
    assert [counted.rest(asked(INSTRUCTION + task)) for task in tasks] == [asked(task) for task in tasks]


def test_rest_of_a_system_turn_alone_shared_is_the_user_s_turn():
    counted = SharedSentences(2)
    turns = [[{"role": "system", "content": INSTRUCTION}, *asked(task)] for task in ("wake me", "play jazz")]
    for messages in turns:
        counted.add(messages)
    counted.count()
    assert [counted.rest(messages) for messages in turns] == [asked("wake me"), asked("play jazz")]


def test_rest_of_a_question_whose_own_words_prevail_is_all_of_it():
    texts = [f"Tom has {n} red apples and Eva eats {n - 1} of them after lunch. How many are left?" for n in (5, 6, 7)]
    counted, found = shared(texts)
    assert len(found) == 3
    assert [counted.rest(asked(text)) for text in texts] == [asked(text) for text in texts]


def test_rest_of_a_text_of_boilerplate_alone_is_the_text():
    counted, _ = shared([INSTRUCTION] * 3)
    assert counted.rest(asked(INSTRUCTION)) == asked(INSTRUCTION)


def test_count_of_rarer_sentences_finds_none():
    counted, found = shared([INSTRUCTION + "a", INSTRUCTION + "b"])
    assert found.dtype == np.int64
    assert found.tolist() == []
    assert counted.rest(asked(INSTRUCTION + "a")) == asked(INSTRUCTION + "a")
