"""What of an operator's arguments Airflow renders: a ``Template``, written by us, and nothing else.

A string that comes from a trigger form or from a mapped task's plan is data: ``as_template`` makes of it a template that renders to
the same string, whatever braces are in it. So a value of a user can name a connection and stays the name of one.
"""

import re

MEANINGFUL = re.compile(r"\{[{%#]|[\r\n]")
"""Where Jinja reads more than text: it replaces ends of lines and drops the last one."""


class Template(str):
    """A template of our own, rendered when the task starts. Every other string is data."""

    __slots__ = ()


def as_template(text: str) -> Template:
    """The template that renders to ``text``; a ``Template`` itself as it is."""
    if isinstance(text, Template):
        return text
    # A string in Jinja has the escapes of one in Python.
    return Template(f"{{{{ {text!a} }}}}" if MEANINGFUL.search(text) else text)
