import pytest
from pydantic import ValidationError

from stillhouse.verification.config import VerifiedConfig


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("class Box: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "mine.py"


def test_verified_config_without_extensions_dumps_no_field_for_them():
    assert "verifiers" not in VerifiedConfig().model_dump(mode="json")


def test_verified_config_extension_is_dumped_with_its_version_and_read_back(mine):
    config = VerifiedConfig(verifiers={"math": "mine:Box"})
    dumped = config.model_dump(mode="json")
    assert dumped["verifiers"]["math"].startswith("mine:Box@sha256-")
    assert VerifiedConfig.model_validate(dumped) == config
    mine.write_text("class Box: 'Changed.'\n")
    assert VerifiedConfig(verifiers={"math": "mine:Box"}) != config
    with pytest.raises(ValidationError, match="is at version sha256-"):
        VerifiedConfig.model_validate(dumped)


def test_verified_config_built_in_verifier_for_another_category_keeps_its_name():
    assert VerifiedConfig(verifiers={"science": "math"}).verifiers == {"science": "math"}


@pytest.mark.parametrize(("category", "name"), [("math", "mth"), ("maths", "math"), ("math", "judge")])
def test_verified_config_unknown_verifier_or_category_is_refused(category, name):
    with pytest.raises(ValidationError):
        VerifiedConfig(verifiers={category: name})
