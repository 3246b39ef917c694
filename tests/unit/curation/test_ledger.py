import pytest

from stillhouse import rows, testing
from stillhouse.curation.ledger import Ledger
from stillhouse.errors import TooManyErrors
from stillhouse.rows import Dropped


def test_ledger_writes_dropped_rows_with_their_reason(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.read["toy"] = 1
    ledger.drop_question(testing.question(), "url", "has www.a")
    ledger.close()
    (row,) = rows.read(tmp_path / "dropped", Dropped)
    assert (row.key, row.reason, row.detail) == (testing.question().question_id, "url", "has www.a")
    assert ledger.dropped == {"url": 1}


def test_refuse_bad_looks_at_what_could_not_be_read_alone(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.read["toy"] = 8
    ledger.drop_question(testing.question(), "url", "")
    for reason in ("bad_json", "bad_type"):
        ledger.refused += 1
        ledger.drop(Dropped("f:1", reason, "", ""))
    ledger.refuse_bad(0.2)
    with pytest.raises(TooManyErrors, match="2 of 10 rows could not be read .bad_json 1, bad_type 1., max_bad_rate is 0.19"):
        ledger.refuse_bad(0.19)
