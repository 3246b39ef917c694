import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.browsing.library import opened
from stillhouse.errors import MissingInput
from stillhouse.vocabulary.rows import Question, Response, Verified
from tests.unit.browsing.views import publish_view


def test_opened_verdicts_are_joined_to_what_they_were_made_of(tmp_path):
    uris = publish_view(tmp_path)
    library = opened([uris["verified"]])
    assert library.listed.name == "verified"
    assert {kind: table.n_rows for kind, table in library.joined.items()} == {"questions": 6, "responses": 24}
    assert library.joined["responses"].artifacts == (1, 1)


def test_opened_further_artifacts_are_joined_first(tmp_path):
    uris = publish_view(tmp_path)
    library = opened([uris["small"], uris["verified"], uris["graded"]])
    assert set(library.joined) == {"verified", "graded", "questions"}


def test_opened_report_has_a_section_for_each_benchmark(tmp_path):
    response = testing.response(testing.question())
    rows = {
        "questions": (testing.question(), Question), "responses": (response, Response),
        "verified": (testing.verified(response), Verified),
    }  # fmt: skip
    files = {}
    for kind, (row, row_type) in rows.items():
        tables.write_part(tmp_path / "part", [row], row_type)
        files |= {f"{name}/{kind}/part-00000.parquet": (tmp_path / "part").read_bytes() for name in ("aime", "toy")}
    uri = f"{tmp_path}/report/toy/1"
    testing.publish_files(files, "report", uri)
    assert opened([uri]).title == "report toy · aime"
    assert opened([uri], "toy").joined["questions"].n_rows == 1
    with pytest.raises(MissingInput, match="no section 'nosuch'; it has aime, toy"):
        opened([uri], "nosuch")


def test_opened_dropped_rows_are_a_section(tmp_path):
    uris = publish_view(tmp_path)
    assert opened([uris["questions"]]).sections == {"dropped": "dropped rows (3)"}
    assert opened([uris["questions"]], "dropped").listed.n_rows == 1


def test_opened_checkpoint_says_that_it_has_no_rows(tmp_path):
    testing.publish_files({"model.safetensors": b"1"}, "sft", f"{tmp_path}/sft/toy/1")
    with pytest.raises(MissingInput, match="is a sft artifact and has no rows to look at; give one of questions"):
        opened([f"{tmp_path}/sft/toy/1"])


def test_opened_nothing_published_says_so(tmp_path):
    with pytest.raises(MissingInput, match="nothing is published there"):
        opened([f"{tmp_path}/questions/toy/1"])
