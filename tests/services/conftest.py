from tests.stage_fixtures import checkpoint, clean_environment

__all__ = ["checkpoint", "clean_environment"]
