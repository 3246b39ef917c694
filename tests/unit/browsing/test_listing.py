import pytest

from stillhouse.browsing import listing
from stillhouse.browsing.library import opened
from stillhouse.browsing.listing import RowFilters, filterable, list_page
from stillhouse.errors import StoreFailed
from tests.unit.browsing.views import publish_view


@pytest.fixture
def uris(tmp_path):
    return publish_view(tmp_path)


def numbers(page):
    return [row["row_number"] for row in page.rows]


def test_list_page_joins_question_response_and_grade(uris):
    page = list_page(opened([uris["verified"], uris["graded"]]), RowFilters(), 0)
    row = page.rows[13]
    assert (row["model"], row["sample_index"], row["kind"], row["level"]) == ("large", 1, "correct", 1)
    assert row["question"] == "What is 0 + 7?"
    assert row["text"] == "<think>hm large</think>It is 0."
    assert page.next is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": "wrong"}, [0, 3, 6, 9, 12, 15, 18, 21]),
        ({"model": "large"}, list(range(12, 24))),
        ({"level": "2"}, [2, 3, 8, 9, 14, 15, 20, 21]),
        ({"category": "math", "level": "2", "kind": "wrong"}, [3, 9, 15, 21]),
        ({"category": "code"}, []),
        ({"text": "IT IS 5."}, [10, 11, 22, 23]),
        ({"text": "[("}, []),
    ],
)
def test_list_page_filters_own_and_joined_columns(uris, filters, expected):
    assert numbers(list_page(opened([uris["verified"], uris["graded"]]), RowFilters(**filters), 0)) == expected


def test_list_page_goes_on_where_the_last_one_ended(uris, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_ROWS", 5)
    library, at, seen = opened([uris["verified"], uris["graded"]]), 0, []
    while at is not None:
        page = list_page(library, RowFilters(level="2"), at)
        seen, at = seen + numbers(page), page.next
    assert seen == [2, 3, 8, 9, 14, 15, 20, 21]


def test_list_page_ends_at_its_time_and_says_how_far_it_looked(uris):
    library = opened([uris["small"]])
    page = list_page(library, RowFilters(text="nowhere"), 0, seconds=-1)
    assert (page.rows, page.next, page.n_seen) == ([], None, 12)


def test_list_page_questions_are_searched_in_their_own_text(uris):
    assert numbers(list_page(opened([uris["questions"]]), RowFilters(text="is 3 +"), 0)) == [3]


def test_list_page_dropped_rows_have_their_reason(uris):
    page = list_page(opened([uris["questions"]], "dropped"), RowFilters(reason="duplicate"), 0)
    assert [(row["key"], row["n"], row["row_number"]) for row in page.rows] == [("gone", 3, 0)]


def test_list_page_filter_that_no_rows_have_is_named(uris):
    page = list_page(opened([uris["questions"]]), RowFilters(level="1"), 0)
    assert page.notes == ["the rows have no level, so this filter is left out; name the artifact that has it too"]
    assert filterable(opened([uris["questions"]])) == ["category", "text"]


def test_list_page_of_a_file_that_is_gone_is_one_line(uris, tmp_path):
    library = opened([uris["questions"]])
    for path in (tmp_path / "questions").rglob("part-*.parquet"):
        path.unlink()
    with pytest.raises(StoreFailed, match="cannot be read"):
        list_page(library, RowFilters(), 0)
