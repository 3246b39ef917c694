import json

import pyarrow.parquet as pq
import pytest

from stillhouse import testing
from stillhouse.artifacts import integrity, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import BadConfig, BadRows, NothingToDo
from stillhouse.execution import processes
from stillhouse.execution.contract import Step
from stillhouse.execution.execute import execute
from stillhouse.screening import perplexity, tokenise
from stillhouse.stages import screened
from stillhouse.vocabulary.rows import Question, Response, Screened
from stillhouse.vocabulary.shards import Shard

ASKED = testing.questions(30)
LONG = " ".join(f"w{number}" for number in range(25))


def run(tmp_path, responses, scorer=None, **config):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tables.write(tmp_path / "questions", ASKED, Question)
    tables.write(tmp_path / "responses", responses, Response)
    inputs = screened.Inputs(scratch=scratch, questions=tmp_path / "questions", responses=(tmp_path / "responses",), scorer=scorer)
    outputs = screened.run(screened.Config(**config), inputs)
    return outputs, list(tables.read(scratch / "output", Screened))


def test_screened_all_rows_stay_and_the_unfit_say_why(tmp_path):
    made = [
        testing.response(ASKED[0]), testing.response(ASKED[1], think=None), testing.response(ASKED[2], ""),
        testing.response(ASKED[3], text="wait " * 9), testing.response(ASKED[4], text="wait " * 8),
    ]  # fmt: skip
    outputs, found = run(tmp_path, made)
    assert [row.reason for row in found] == [None, "no_think", "no_answer", "repetition", None]
    assert [row.kept for row in found] == [True, False, False, False, True]
    assert [row.longest_repeat for row in found][3:] == [9, 8]
    assert outputs.dropped == {"no_think": 1, "no_answer": 1, "repetition": 1}
    assert (outputs.metrics["n_screened"], outputs.metrics["n_kept"]) == (5, 2)
    page = (tmp_path / "scratch" / "output" / outputs.artifacts[-1]).read_text()
    assert "5 responses screened, <b>2 kept</b>" in page
    assert '<td>no_think</td><td class="n">1</td><td class="n">20.00 %</td>' in page
    assert '<td>perplexity</td><td class="n">off</td>' in page


@pytest.mark.parametrize(("copies", "reason"), [(20, None), (21, "frequent_ngrams")])
def test_screened_phrase_is_frequent_above_twenty_copies(tmp_path, copies, reason):
    outputs, found = run(tmp_path, [testing.response(each, text=LONG) for each in ASKED[:copies]])
    assert {row.reason for row in found} == {reason}
    assert {row.frequent_ngrams for row in found} == {6 if reason else 0}
    assert sum(outputs.dropped.values()) == (copies if reason else 0)


def test_screened_ngram_rule_can_be_switched_off(tmp_path):
    _, found = run(tmp_path, [testing.response(each, text=LONG) for each in ASKED], max_ngram_count=None)
    assert all(row.kept for row in found)


def test_screened_says_which_strings_are_frequent_and_why_each_row_was_dropped(tmp_path):
    outputs, _ = run(tmp_path, [testing.response(each, text=LONG) for each in ASKED[:21]])
    published = tmp_path / "scratch" / "output"
    assert list(outputs.artifacts) == ["frequent_ngrams.json", "screened.html"]
    found = json.loads((published / "frequent_ngrams.json").read_text())
    assert [(each["text"].split()[0], each["count"]) for each in found] == [(f"w{place}", 21) for place in range(6)]
    drops = pq.read_table(published / "dropped").to_pylist()
    assert {(row["reason"], row["detail"]) for row in drops} == {("frequent_ngrams", " ".join(LONG.split()[:20]))}
    assert len(drops) == 21


def test_screened_perplexity_of_question_and_response_by_a_checkpoint(tmp_path, checkpoint):
    likely, unlikely = testing.response(ASKED[0]), testing.response(ASKED[1], text="zyx wvu tsr qpo")
    texts = [f"user: {asked.messages[0]['content']}\n{each.text}" for asked, each in ((ASKED[0], likely), (ASKED[1], unlikely))]
    low, high = perplexity.load("transformers", str(checkpoint), 100).perplexities(texts)
    outputs, found = run(tmp_path, [likely, unlikely], checkpoint, max_perplexity=(low + high) / 2)
    assert [row.kept for row in found] == [True, False]
    assert [row.perplexity for row in found] == pytest.approx([low, high], rel=1e-4)
    assert outputs.dropped == {"perplexity": 1}


def test_screened_perplexity_without_a_model_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="--input scorer=REFERENCE"):
        run(tmp_path, [testing.response(ASKED[0])], max_perplexity=20)


def test_screened_many_drops_are_written_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 2)
    outputs, found = run(tmp_path, [testing.response(each, think=None) for each in ASKED[:5]])
    parts = sorted((tmp_path / "scratch" / "output" / "dropped").iterdir())
    assert [pq.read_metadata(part).num_rows for part in parts] == [2, 2, 1]
    assert (len(found), outputs.dropped) == (5, {"no_think": 5})


def test_screened_responses_to_dropped_questions_are_let_go_and_counted(tmp_path):
    outputs, found = run(tmp_path, [testing.response(testing.question("else", "1")), testing.response(ASKED[0])])
    assert ([row.question_id for row in found], outputs.dropped) == ([ASKED[0].question_id], {"unknown_question": 1})
    assert outputs.metrics["n_kept"] == 1


def test_screened_responses_of_which_none_answers_a_question_are_refused(tmp_path):
    with pytest.raises(BadRows, match="screened: none of 1 responses answers a question of the questions input"):
        run(tmp_path, [testing.response(testing.question("else", "1"))])


def test_screened_without_rows_is_refused(tmp_path):
    with pytest.raises(NothingToDo):
        run(tmp_path, [])


def test_screened_shards_are_bit_for_bit_what_one_process_makes(tmp_path, monkeypatch):
    made = [testing.response(each, text=LONG if number % 3 else f"<think>{number}</think> yes", sample_index=number)
            for number, each in enumerate(ASKED + ASKED)]  # fmt: skip
    made += [testing.response(testing.question(f"Dropped {number}?")) for number in range(2)]
    inputs = {"questions": f"{tmp_path.as_uri()}/questions/toy/1", "responses": f"{tmp_path.as_uri()}/responses/toy/1"}
    testing.publish(ASKED, Question, inputs["questions"])
    testing.publish(made, Response, inputs["responses"])
    results = []
    for count in (1, 3):
        output = f"{tmp_path.as_uri()}/{count}/screened/toy/1"
        for index in range(count):
            execute(screened, screened.Config(), inputs, output, Shard(index, count))
        local = integrity.fetch(output, tmp_path / "fetched")
        results.append((sorted(tables.read(local, Screened), key=str), manifests.load(output)))
    (whole_rows, whole), (rows, manifest) = results
    assert {row.reason for row in whole_rows} == {"frequent_ngrams", None}  # no shard alone has more than twenty copies
    assert rows == whole_rows
    assert whole.dropped["unknown_question"] == 2
    assert (manifest.fingerprint, manifest.dropped) == (whole.fingerprint, whole.dropped)


def test_screened_by_steps_of_a_dag_is_made_by_the_first_where_nothing_is_counted_over_all(tmp_path):
    """A DAG has the steps before anybody knows whether the form's values need them."""
    inputs = {"questions": f"{tmp_path.as_uri()}/questions/toy/1", "responses": f"{tmp_path.as_uri()}/responses/toy/1"}
    testing.publish(ASKED, Question, inputs["questions"])
    testing.publish([testing.response(each, text=LONG) for each in ASKED], Response, inputs["responses"])
    config, output = screened.Config(max_ngram_count=None), f"{tmp_path.as_uri()}/screened/toy/1"
    order: list[tuple[Step, int]] = [("map", 0), ("map", 1), ("combine", 0), ("apply", 0), ("apply", 1)]
    skipped = [execute(screened, config, inputs, output, Shard(index, 2), step=step).skipped for step, index in order]
    assert skipped == [False, False, True, True, True]
    whole = execute(screened, config, inputs, f"{tmp_path.as_uri()}/whole/screened/toy/1").manifest
    assert (manifests.load(output).rows, manifests.load(output).fingerprint) == (whole.rows, whole.fingerprint)
    with pytest.raises(BadConfig, match="--step read: screened with this config works row by row"):
        execute(screened, config, inputs, f"{tmp_path.as_uri()}/read/screened/toy/1", Shard(0, 2), step="read")


def test_screened_in_several_processes_is_what_one_process_makes(tmp_path, monkeypatch):
    made = [testing.response(each, text=LONG, sample_index=number) for number in range(10) for each in ASKED]
    monkeypatch.setattr(tokenise, "BATCH", 16)
    results = []
    for cores in (1, 2):
        (tmp_path / str(cores)).mkdir()
        monkeypatch.setattr(processes, "share_of_cores", lambda cores=cores: cores)
        outputs, found = run(tmp_path / str(cores), made)
        results.append(
            (found, dict(outputs.metrics), json.loads((tmp_path / str(cores) / "scratch/output/frequent_ngrams.json").read_text()))
        )
    assert results[0] == results[1]
    assert len(results[0][0]) == 300
