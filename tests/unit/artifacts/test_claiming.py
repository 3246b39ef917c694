import pytest

from stillhouse.artifacts import claiming
from stillhouse.errors import BadConfig
from stillhouse.vocabulary.stage_names import STAGE_NAMES


@pytest.mark.parametrize("uri", ["nonsense", "file:///a/b/c/d", "s3://bucket/stf/mine/1", "mine/1"])
def test_require_output_of_any_stage_refuses_what_no_stage_writes(uri):
    with pytest.raises(BadConfig, match=f"--for {uri}: not an output of a stage; write .*store/sft/mine/1"):
        claiming.require_output_of_any_stage(uri, "--for")


def test_require_output_of_any_stage_takes_each():
    for name in STAGE_NAMES:
        claiming.require_output_of_any_stage(f"s3://bucket/{name}/mine/1/", "--for")
        claiming.require_output_of_any_stage(f"{name}/mine/1", "--for")
