from stillhouse.command import command


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
