"""Which of an operator's arguments Airflow renders: each ``Template``, written by us, and nothing else.

A string that comes from a trigger form or from a mapped task's plan is data: ``as_template`` turns it into a template that renders
to the same string, whatever braces it has. So a string that names a connection cannot read its password.
"""

import re
from dataclasses import dataclass

MEANINGFUL = re.compile(r"\{[{%#]|[\r\n]")
"""Text that Jinja would change: its markup, line ends (which it replaces) and the last line end (which it drops)."""


@dataclass(frozen=True)
class Template:
    """A template of our own, rendered when the task starts. Every string is data."""

    text: str

    def __str__(self) -> str:
        """As Airflow stores it with the DAG."""
        return self.text


def as_template(value: str | Template) -> str:
    """A template that Airflow renders to the string; the text of a ``Template`` unchanged."""
    if isinstance(value, Template):
        return value.text
    # Jinja's strings have the escapes of Python's.
    return f"{{{{ {value!a} }}}}" if MEANINGFUL.search(value) else value
