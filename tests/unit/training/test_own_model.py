"""A base model from a plain directory, in the fast tier: the other architectures are in tests/services/stages."""

from tests.services.stages.test_architectures import fine_tuned, measured, reinforced, sampled

FORM = "think_answer"


def test_base_model_with_another_eos_learns_to_end_its_turn_and_every_response_stops_also_after_rl(tmp_path):
    trained = fine_tuned(tmp_path, "qwen2.5-base", FORM)
    completions = sampled(trained)
    assert {completion.finish_reason for completion in completions} == {"stop"}
    assert all(completion.completion_tokens < 60 for completion in completions)
    checkpoint, metrics = reinforced(tmp_path, trained, FORM)
    assert metrics["train/completions/clipped_ratio"] == 0
    [outcome] = measured(tmp_path, checkpoint).benchmarks.values()
    assert (outcome.n_questions, outcome.rounds[1].stop_ratio) == (24, 1)
