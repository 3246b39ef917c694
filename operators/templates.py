"""What of an operator's arguments Airflow renders: a ``Template``, written by us, and nothing else.

A string that comes from a trigger form or from a mapped task's plan is data: ``as_template`` makes of it a template that renders to
the same string, whatever braces are in it. So a user may name a connection, and nobody reads its password.
"""

import re
from dataclasses import dataclass

MEANINGFUL = re.compile(r"\{[{%#]|[\r\n]")
"""Where Jinja reads more than text: it replaces ends of lines and drops the last one."""


@dataclass(frozen=True)
class Template:
    """A template of our own, rendered when the task starts. Every string is data."""

    text: str

    def __str__(self) -> str:
        """As Airflow stores it with the DAG."""
        return self.text


def as_template(value: str | Template) -> str:
    """What Airflow renders to the string; the text of a ``Template`` as it is."""
    if isinstance(value, Template):
        return value.text
    # A string in Jinja has the escapes of one in Python.
    return f"{{{{ {value!a} }}}}" if MEANINGFUL.search(value) else value
