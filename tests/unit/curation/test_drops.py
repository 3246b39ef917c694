from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.curation.drops import Ledger
from stillhouse.vocabulary.rows import Dropped


def test_ledger_writes_dropped_rows_with_their_reason(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.read["toy"] = 1
    ledger.drop_question(testing.question(), "url", "has www.a")
    ledger.close()
    (row,) = tables.read(tmp_path / "dropped", Dropped)
    assert (row.key, row.reason, row.detail) == (testing.question().question_id, "url", "has www.a")
    assert ledger.dropped == {"url": 1}


def test_ledger_counts_what_sources_refused_as_read(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.read["toy"] = 8
    ledger.refuse(Dropped("f:1", "bad_json", "", ""))
    assert (ledger.n_read, ledger.dropped) == (9, {"bad_json": 1})
