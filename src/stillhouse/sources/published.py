"""Questions of a public data set by its preset: its mapping is built in, see ``exchange/presets.yaml``."""

from collections import Counter
from collections.abc import Iterator

from stillhouse.sources import file, release
from stillhouse.sources.stored import FileSource, Preset, Release
from stillhouse.vocabulary.rows import Dropped, Question


def questions(spec: Preset, unmapped: Counter[str]) -> Iterator[Question | Dropped]:
    """The data set's questions in its order. Raises what the source raises that the preset stands for."""
    source = spec.resolved()
    if isinstance(source, FileSource):
        return file.questions(source, unmapped)
    if isinstance(source, Release):
        return release.questions(source, unmapped)
    from stillhouse.sources import huggingface  # takes a second

    return huggingface.questions(source, unmapped)
