import random

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.curation.interleaving import interleave


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 20)), max_size=4), st.integers(0, 5))
def test_interleave_gives_every_item_once_in_its_stream_s_order(shape, seed):
    streams = [[(number, place) for place in range(count)] for number, (_, count) in enumerate(shape)]
    mixed = list(interleave([(weight, iter(items)) for (weight, _), items in zip(shape, streams, strict=True)], seed))
    assert [[item for item in mixed if item[0] == number] for number in range(len(streams))] == streams


def test_interleave_same_seed_gives_the_same_order_and_another_seed_another():
    def order(seed):
        return list(interleave([(1, iter("a" * 50)), (1, iter("b" * 50))], seed))

    assert order(1) == order(1) != order(2)


def test_interleave_heavier_stream_comes_earlier():
    mixed = list(interleave([(9, iter("a" * 200)), (1, iter("b" * 200))], 0))
    assert mixed[:100].count("a") > 80


def test_interleave_draws_as_the_standard_library_does():
    """The order is part of published results: a faster draw must not change it."""
    shape = ((0.5, 40, "a"), (2, 10, "b"), (1, 25, "c"))

    def streams():
        return [(weight, iter([f"{name}{row}" for row in range(size)])) for weight, size, name in shape]

    rng, live, expected = random.Random(7), streams(), []
    while live:
        number = rng.choices(range(len(live)), weights=[weight for weight, _ in live])[0]
        try:
            expected.append(next(live[number][1]))
        except StopIteration:
            del live[number]
    assert list(interleave(streams(), 7)) == expected
