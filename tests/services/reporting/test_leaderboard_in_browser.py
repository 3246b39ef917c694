import pytest

from stillhouse.reporting import leaderboard, run_facts
from tests.browser import chromium, tab
from tests.unit.reporting import nights

__all__ = ["chromium", "tab"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def board(tmp_path, tab):
    """The leaderboard of three nights under two protocols, open in a browser."""
    records = []
    for night, protocol in enumerate(("p1", "p1", "p2")):
        run = nights.publish_night(tmp_path, f"v{night}", night, protocol=protocol)
        records.append(run_facts.record(run, run_facts.read(run), mlflow="http://127.0.0.1:9/#/experiments/1/runs/r1"))
    leaderboard.write(tmp_path / "board.html", "toy", records, tmp_path.as_uri())
    tab.goto(f"file://{tmp_path}/board.html")
    return tab


def shown(tab, selector) -> int:
    return sum(one.is_visible() for one in tab.locator(selector).all())


def test_leaderboard_loads_nothing_and_nothing_complains(board, tmp_path):
    assert board.requests == [f"file://{tmp_path}/board.html"]
    assert board.problems == []


def test_leaderboard_filters_by_protocol_and_checkpoint(board):
    assert (shown(board, ".board"), shown(board, "tr[data-role]")) == (2, 6)
    board.select_option("select[name=protocol]", "p1")
    assert (shown(board, ".board"), shown(board, "tr[data-role]")) == (1, 4)
    board.select_option("select[name=role]", "sft")
    assert shown(board, "tr[data-role]") == 2
    board.select_option("select[name=protocol]", "")
    assert (shown(board, ".board"), shown(board, "tr[data-role]")) == (2, 3)


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_leaderboard_fits_narrow_and_wide_light_and_dark(board, width, scheme):
    board.emulate_media(color_scheme=scheme)
    board.set_viewport_size({"width": width, "height": 900})
    assert board.evaluate("document.documentElement.scrollWidth") <= width
    colours = board.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert colours[0] != colours[1]
