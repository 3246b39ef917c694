import numpy as np

from stillhouse.curation.vector_file import VectorFile


def test_vector_file_gives_back_what_was_added_in_whatever_order(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((50, 8), dtype=np.float32)
    file = VectorFile(tmp_path / "new" / "vectors")
    for start in range(0, 50, 20):
        file.add(vectors[start : start + 20])
    assert (len(file), file.shape) == (50, (50, 8))
    np.testing.assert_array_equal(file[np.array([7, 0, 49])], vectors[[7, 0, 49]])
    order = np.arange(49, 9, -1)
    view = file.in_order(order)
    assert view.shape == (40, 8)
    np.testing.assert_array_equal(view[np.array([0, 39, 3])], vectors[[49, 10, 46]])
