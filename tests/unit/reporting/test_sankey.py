import re

from stillhouse.reporting.sankey import Flow, Node, sankey

READ, KEPT, LOST = Node(0, "read"), Node(1, "kept"), Node(1, "kept", lost=True)


def test_sankey_bands_are_as_thick_as_their_rows_and_lost_ones_are_marked():
    drawn = sankey([Flow(READ, KEPT, 75), Flow(READ, LOST, 25)], "flow")
    thick = [float(width) for width in re.findall(r'stroke-width="([\d.]+)"', drawn)]
    assert thick[0] == 3 * thick[1]
    assert drawn.count("band kept") == drawn.count("band lost") == 1, "a reason may have the name of a source"


def test_sankey_of_one_row_among_millions_is_still_seen():
    drawn = sankey([Flow(READ, KEPT, 40_000_000), Flow(READ, LOST, 1)], "flow")
    assert 'stroke-width="1.0"' in drawn


def test_sankey_label_of_a_source_is_text():
    assert "<b>" not in sankey([Flow(Node(0, "<b>x"), KEPT, 1)], "flow")


def test_sankey_without_a_row_is_empty():
    assert sankey([Flow(READ, KEPT, 0)], "flow") == ""
