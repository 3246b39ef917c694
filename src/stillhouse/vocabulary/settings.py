"""The base of every config: what changes a result, and nothing else."""

from pydantic import BaseModel, ConfigDict


class StageConfig(BaseModel):
    """What changes a stage's result, and nothing else: no hardware, no URI, no credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
