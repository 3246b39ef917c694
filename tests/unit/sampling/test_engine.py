import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request, response
from stillhouse.vocabulary import rows

KEY = ("q1", "small", "question", 1, 0)
ids = st.text("0123456789abcdef", min_size=16, max_size=16)
keys = st.tuples(ids, st.text(max_size=8), st.sampled_from(["question", "summary"]), st.integers(1, 9), st.integers(0, 99))


def test_response_has_the_key_the_parts_and_the_seed_of_its_request():
    sampling = Sampling(engine="transformers")
    request = Request(KEY, [{"role": "user", "content": "?"}], seed=7)
    row = response(sampling, request, Completion("<think>a</think><answer>b</answer>", "stop", 3, 4))
    assert rows.response_key(row) == KEY
    assert (row.think, row.answer, row.finish_reason, row.seed) == ("a", "b", "stop", 7)
    assert (row.prompt_tokens, row.completion_tokens, row.sampling_id) == (3, 4, sampling.sampling_id)


def test_sampling_id_changes_with_any_setting_and_not_with_a_subclass():
    from stillhouse.stages.responses import Config

    ids = {
        Sampling(**changes).sampling_id
        for changes in (
            {},
            {"temperature": 1.0},
            {"top_p": 1.0},
            {"max_tokens": 9},
            {"seed": 1},
            {"suffix": "none"},
            {"engine": "transformers"},
        )
    }
    assert len(ids) == 7
    assert Config(model="small", samples=9).sampling_id == Sampling().sampling_id


@pytest.mark.parametrize(
    "changes", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_tokens": 0}, {"suffix": "box"}, {"engine": "tgi"}]
)
def test_sampling_out_of_bounds_is_refused(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        Sampling(**changes)


def test_sampling_has_no_hardware():
    assert not {name for name in Sampling.model_fields if "gpu" in name or "batch" in name or "parallel" in name}
