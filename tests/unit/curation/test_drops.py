from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.curation.drops import Drops
from stillhouse.vocabulary.rows import Dropped


def test_drops_writes_dropped_rows_with_their_reason(tmp_path):
    drops = Drops(tmp_path)
    drops.read["toy"] = 1
    drops.add_question(testing.question(), "url", "has www.a")
    drops.close()
    (row,) = tables.read(tmp_path / "dropped", Dropped)
    assert (row.key, row.reason, row.detail) == (testing.question().question_id, "url", "has www.a")
    assert drops.dropped == {"url": 1}


def test_drops_counts_what_sources_refused_as_read(tmp_path):
    drops = Drops(tmp_path)
    drops.read["toy"] = 8
    drops.add_refused(Dropped("f:1", "bad_json", "", ""))
    assert (drops.n_read, drops.dropped) == (9, {"bad_json": 1})
