import pytest

from stillhouse.artifacts import naming


@pytest.mark.parametrize(
    "name", ["part-00000.parquet", "dropped/part-00001.parquet", "resume/checkpoint-1/rng_state", "a/b.tar.gz"]
)
def test_tagged_then_untagged_is_the_name(name):
    stored = naming.tagged(name, "0123abcd", "f" * 64)
    assert stored != name
    assert naming.untagged(stored) == (name, "0123abcd", "f" * 16)


def test_tagged_parts_keep_their_order_and_their_ends():
    names = [f"part-{number:05d}.parquet" for number in range(3)]
    stored = [
        naming.tagged(name, attempt, "0" * 64) for name, attempt in zip(names, ("ffffffff", "00000000", "aaaaaaaa"), strict=True)
    ]
    assert stored == sorted(stored)
    assert all(name.startswith("part-") and name.endswith(".parquet") for name in stored)


@pytest.mark.parametrize("name", ["part-00000.parquet", "claim.json", "claim.json.3", "x.0123abcd.parquet", "model.safetensors"])
def test_untagged_name_without_an_attempt_is_none(name):
    assert naming.untagged(name) is None
