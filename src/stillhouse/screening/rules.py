"""The rules of screening in one place: what each checks, and how a response that breaks one is explained."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stillhouse.screening.config import ScreenedConfig
from stillhouse.screening.ngrams import Ngrams
from stillhouse.screening.repetition import Repeat, longest_repeats
from stillhouse.screening.structure import structure_flaws
from stillhouse.screening.tokenise import tokens
from stillhouse.vocabulary.languages import language_of
from stillhouse.vocabulary.personal_data import personal_data
from stillhouse.vocabulary.rows import Response, Screened, response_key

RULES = (
    "odd_turns", "no_think", "no_answer", "repetition", "frequent_ngrams", "length", "language", "personal_data", "perplexity",
)  # fmt: skip
"""The reasons for which a response is dropped, in the order in which the rules are applied."""


class Scorer(Protocol):
    """A loaded model that scores perplexity."""

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """The perplexity of every text; None for a text of fewer than two tokens. Texts beyond the model's length are cut."""


class QuestionForm(NamedTuple):
    """What the rules need to know of a question."""

    turns: int
    prompt: str
    """Empty unless perplexity is scored."""


class Screening(NamedTuple):
    """One row of screened, with details of why it was dropped."""

    row: Screened
    detail: str


def screen(
    config: ScreenedConfig, questions: Sequence[QuestionForm], responses: Sequence[Response], ngrams: Ngrams | None,
    scorer: Scorer | None,
) -> list[Screening]:  # fmt: skip
    """Judge a batch of responses, each with its question. A model scores only what all other rules keep: its time is expensive."""
    screenings = _by_text(config, questions, responses, ngrams)
    if scorer is None or config.max_perplexity is None:
        return screenings
    kept = [index for index, screening in enumerate(screenings) if screening.row.kept]
    perplexities = scorer.perplexities([f"{questions[index].prompt}\n{responses[index].text}" for index in kept])
    for index, perplexity in zip(kept, perplexities, strict=True):
        screenings[index] = _with_perplexity(screenings[index].row, perplexity, config.max_perplexity)
    return screenings


def _by_text(
    config: ScreenedConfig, questions: Sequence[QuestionForm], responses: Sequence[Response], ngrams: Ngrams | None
) -> list[Screening]:  # fmt: skip
    texts = [response.text for response in responses]
    words = tokens(texts)
    frequent: list[list[str]] = [[]] * len(texts)
    if ngrams is not None:
        frequent = ngrams.frequent(words if ngrams.cut is str.split else tokens(texts, ngrams.cut))
    judged = zip(questions, responses, longest_repeats(words), frequent, strict=True)
    return [_judged(config, question, response, repeat, strings) for question, response, repeat, strings in judged]


def _judged(
    config: ScreenedConfig, question: QuestionForm, response: Response, repeat: Repeat, frequent: Sequence[str]
) -> Screening:  # fmt: skip
    required = {"odd_turns": config.require_even_turns, "no_think": config.require_think, "no_answer": config.require_answer}
    flaws = [flaw for flaw in structure_flaws(question.turns, response) if required[flaw]]
    reason, detail = None, ""
    if flaws:
        reason, detail = flaws[0], ", ".join(flaws)
    elif config.max_repeat is not None and repeat.times > config.max_repeat:
        reason, detail = "repetition", f"{repeat.times} times: {repeat.phrase}"
    elif frequent:
        reason, detail = "frequent_ngrams", frequent[0]
    elif content := _content_flaw(config, response):
        reason, detail = content
    row = Screened(*response_key(response), None, repeat.times, len(frequent), not flaws, reason is None, reason)
    return Screening(row, detail)


def _content_flaw(config: ScreenedConfig, response: Response) -> tuple[str, str] | None:
    """The reason and the detail of a response of the wrong length or language, or with personal data."""
    size, answer = len(response.text), response.answer or ""
    if not (config.min_characters or 0) <= size <= (config.max_characters or size):
        return "length", f"{size} characters"
    spoken = language_of(answer, answer.lower().split()) if config.languages else None
    if spoken and spoken not in config.languages:
        return "language", f"{spoken}, kept: {', '.join(config.languages)}"
    kind = personal_data(response.text, config.personal_data)
    return ("personal_data", f"has {kind}") if kind else None


def _with_perplexity(row: Screened, perplexity: float | None, most: float) -> Screening:
    above = perplexity is not None and perplexity > most
    reason, detail = ("perplexity", f"{perplexity:.1f}") if above else (None, "")
    key = response_key(row)
    return Screening(
        Screened(*key, perplexity, row.longest_repeat, row.frequent_ngrams, row.structure_ok, not above, reason), detail
    )  # fmt: skip


def rules_off(config: ScreenedConfig) -> set[str]:
    """The rules that the config switches off."""
    is_off = {
        "odd_turns": not config.require_even_turns, "no_think": not config.require_think, "no_answer": not config.require_answer,
        "repetition": config.max_repeat is None, "frequent_ngrams": config.max_ngram_count is None,
        "length": config.min_characters is None and config.max_characters is None, "language": not config.languages,
        "personal_data": not config.personal_data, "perplexity": config.max_perplexity is None,
    }  # fmt: skip
    return {name for name, off in is_off.items() if off}
