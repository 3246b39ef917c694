"""IFEval's two criteria, as the column ``constraints`` names them. A module of its own: langdetect and nltk are slow to load."""

import json


def with_mode(constraints: str | None, mode: str) -> str | None:
    """The column ``constraints`` with this mode, unless it names one; what is not in IFEval's form stays as it is."""
    try:
        values = json.loads(constraints or "")
    except ValueError:
        return constraints
    return json.dumps({"mode": mode} | values) if isinstance(values, dict) else constraints


def is_loose(constraints: str | None) -> bool:
    """Whether constraints in IFEval's form ask for the loose criterion."""
    return bool(constraints) and json.loads(str(constraints)).get("mode", "strict") == "loose"
