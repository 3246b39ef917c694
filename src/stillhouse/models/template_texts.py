"""Chat templates by name: our own, and the training templates that TRL ships. Loads no heavy library.

A config keeps the text of its template, not the name, so that the fingerprint covers it and every process has it.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from stillhouse.errors import nearest

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}{{ '### ' + message['role'] + '\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\\n' }}{% endif %}"
)
OWN = {"chatml": CHATML, "plain": PLAIN}
"""``chatml`` is for a vocabulary with ``<|im_end|>``, ``plain`` for a base model without tokens of a chat: eos ends its turn."""


def resolved(template: str) -> str:
    """The text of a template, given as a name, as the path of a Jinja file, or as the text itself.

    A name of TRL's stays a name on a machine without TRL, such as Airflow's. Raises ValueError for a name or a file that does not
    exist.
    """
    if "{{" in template or "{%" in template:
        return template
    if template in OWN:
        return OWN[template]
    files = dict(_of_trl())
    path = files.get(template, Path(template))
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if not files and not path.suffix:
        return template
    hint = nearest(template, [*OWN, *files], "names", [*OWN, "those of TRL's templates"])
    msg = f"chat_template {template!r}: no file and no known name; {hint}"
    raise ValueError(msg)


def _of_trl() -> Iterator[tuple[str, Path]]:
    """Name and file of TRL's templates; none where TRL is not installed. TRL itself is not imported."""
    spec = find_spec("trl")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from ((path.stem, path) for path in sorted(Path(place).glob("chat_templates/*.jinja")))
