from tests.stage_fixtures import checkpoint, clean_environment, fresh_toy_stage

__all__ = ["checkpoint", "clean_environment", "fresh_toy_stage"]
