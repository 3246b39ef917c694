"""A base model from a plain directory, in the fast tier: the other architectures are in tests/services/stages."""

from tests.services.stages.test_architectures import fine_tuned, sampled


def test_base_model_with_another_eos_learns_to_end_its_turn_and_every_response_stops(tmp_path):
    completions = sampled(fine_tuned(tmp_path, "qwen2.5-base", "think_answer"))
    assert {completion.finish_reason for completion in completions} == {"stop"}
    assert all(completion.completion_tokens < 60 for completion in completions)
