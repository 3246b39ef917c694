import pytest

from stillhouse.errors import BadConfig
from stillhouse.execution.command import Rendezvous, command, relaunched


def test_command_layers_and_inputs_keep_their_order():
    made = command(
        "graded", config=["@laptop/graded", '{"a": 1}'], inputs={"verified": "s3://b/v", "responses": ["u", "w"]}, output="o"
    )
    assert made == [
        "stillhouse", "graded", "--config", "@laptop/graded", "--config", '{"a": 1}', "--input", "verified=s3://b/v",
        "--input", "responses=u", "--input", "responses=w", "--output", "o",
    ]  # fmt: skip


def test_command_empty_uri_is_left_out():
    assert command("sft", config=[], inputs={"checkpoint": "", "others": []}, output="o", program="x") == [
        "x",
        "sft",
        "--output",
        "o",
    ]


def test_command_training_of_several_processes_is_started_by_the_torchrun_beside_the_program():
    made = command("sft", config=["@a/sft-1"], inputs={}, output="o", program="/opt/bin/stillhouse", ranks=True, processes=8)
    assert made == [
        "/opt/bin/torchrun", "--standalone", "--nproc-per-node=8", "--max-restarts=0", "--shutdown-timeout=110",
        "-m", "stillhouse", "sft", "--config", "@a/sft-1", "--output", "o",
    ]  # fmt: skip


def test_command_other_stages_are_one_process_and_one_node():
    assert command("responses", config=[], inputs={}, output="o", processes=8)[:2] == ["stillhouse", "responses"]
    with pytest.raises(BadConfig, match="responses: placed on 2 nodes, but it is one process; place it on one"):
        command("responses", config=[], inputs={}, output="o", rendezvous=Rendezvous(2, "0", "a", 1))


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (2, 8)])
def test_relaunched_training_is_the_command_of_the_other_number_of_processes(before, after):
    options = {"config": ["@toy/sft-1"], "inputs": {"selected": "s3://b/1"}, "output": "s3://b/2", "ranks": True}
    argv = [command("sft", program="/opt/bin/stillhouse", processes=count, **options) for count in (before, after)]
    start = "torchrun" if after > 1 else "stillhouse"
    assert relaunched(argv[0], after) == argv[1]
    assert argv[1][0] == f"/opt/bin/{start}"
