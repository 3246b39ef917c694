from collections import Counter

from stillhouse.artifacts.tables import Parts
from stillhouse.curation.contamination import Match
from stillhouse.curation.funnel import KeptCounts
from stillhouse.reporting.curation import write_curation


def page(tmp_path, n_pairs=0):
    pairs = Parts(tmp_path, Match, "pairs")
    for number in range(n_pairs):
        pairs.add(Match("q1", "exam", "b1", "ngram", 0.57, number == 0, "Is <b> 1 < 2?", f"Is {number} < 2?"))
    pairs.flush()
    kept = KeptCounts(
        n_kept=7, by_column={"kept": Counter(pool=7), "category": Counter(math=7), "language": Counter(), "difficulty": Counter()},
        by_length=Counter({64: 3, 128: 4}),
    )  # fmt: skip
    return (tmp_path / write_curation(tmp_path, 10, kept, {"duplicate": 1, "url": 2}, pairs.paths, {"license"})).read_text()


def test_page_shows_the_funnel_in_the_order_of_the_rules(tmp_path):
    text = page(tmp_path)
    assert "10 questions read, <b>7 kept</b>" in text
    assert text.index("<td>url</td>") < text.index("<td>duplicate</td>")
    assert "20.00 %" in text
    assert '<td>length</td><td class="n">0</td><td class="n">0.00 %</td>' in text
    assert '<td>license</td><td class="n">off</td>' in text
    assert "No pairs." in text


def test_page_opens_offline_without_a_script(tmp_path):
    text = page(tmp_path)
    assert 'src="http' not in text
    assert "<script" not in text
    assert text.count("<svg") == 4


def test_page_shows_both_texts_of_a_pair_escaped(tmp_path):
    text = page(tmp_path, n_pairs=2)
    assert "Is &lt;b&gt; 1 &lt; 2?" in text
    assert "Is 1 &lt; 2?" in text
    assert "exam · ngram 0.57 · allowed" in text


def test_page_says_how_many_pairs_it_leaves_out(tmp_path):
    assert "203 pairs, the first 200 of them here" in page(tmp_path, n_pairs=203)
