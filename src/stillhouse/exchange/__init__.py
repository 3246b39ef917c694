"""Rows from and to the formats others use: the public schemas, one module each with ``decode``, ``encode`` and what it loses."""

from types import ModuleType

from stillhouse.exchange import am_1_4m, am_40m, conversations

SCHEMAS: dict[str, ModuleType] = {module.NAME: module for module in (am_1_4m, am_40m, conversations)}
"""By the name given to ``--as``."""
