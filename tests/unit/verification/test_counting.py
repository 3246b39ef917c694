import pytest

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.verification.counting import cost
from stillhouse.vocabulary.rows import Response


@pytest.fixture
def artifact(tmp_path):
    """A function that publishes responses whose manifest has these metrics."""

    def make(name: str, **metrics: float) -> str:
        uri = f"file://{tmp_path}/responses/{name}/1"
        made = testing.publish([testing.response(testing.question())], Response, uri)
        path = tmp_path / "responses" / name / "1" / manifests.MANIFEST
        path.write_bytes(manifests.serialised(made.model_copy(update={"metrics": metrics})))
        return uri

    return make


def test_cost_of_several_artifacts_is_shared_by_what_was_found_correct(artifact):
    small = artifact("small", n_responses=10, tokens_per_response=30, seconds_per_response=0.5, gpu_seconds_per_response=1)
    large = artifact("large", n_responses=20, tokens_per_response=60, seconds_per_response=1)
    assert cost([small, large], n_correct=5) == {"tokens_per_correct": 300, "seconds_per_correct": 5, "gpu_seconds_per_correct": 2}


def test_cost_of_imported_or_never_correct_responses_is_not_said(artifact):
    assert cost([artifact("imported", n_imported=3)], n_correct=2) == {}
    assert cost([artifact("sampled", n_responses=3, tokens_per_response=3)], n_correct=0) == {}
