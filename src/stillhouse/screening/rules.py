"""The rules of screening in one place: what each asks, and how a response that breaks one is explained."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from stillhouse.screening.ngrams import Ngrams
from stillhouse.screening.perplexity import Scorer
from stillhouse.screening.repetition import Repeat, longest_repeats
from stillhouse.screening.structure import structure_flaws
from stillhouse.screening.tokenise import tokens
from stillhouse.vocabulary.rows import Response, Screened, response_key
from stillhouse.vocabulary.settings import StageConfig


class Rules(StageConfig):
    """What makes a response unfit to learn from. A rule that is null or false is switched off."""

    require_even_turns: bool = True
    """Refuse conversations that do not end with their answer: question and response together have an even number of turns."""
    require_think: bool = True
    """Refuse responses without thinking (DeepDistill §2.5)."""
    require_answer: bool = True
    """Refuse responses without an answer (DeepDistill §2.5)."""
    max_repeat: int | None = Field(8, ge=1)
    """Times a phrase of up to 4 words may stand back to back; the paper gives no value."""
    ngram_tokens: int = Field(20, ge=1)
    """Length of the strings counted across all responses (DeepDistill §2.5: 20 tokens)."""
    ngram_tokenizer: str | None = None
    """What is a token: a tokenizer on the Hugging Face hub, by name; null takes words. The paper names none."""
    max_ngram_count: int | None = Field(20, ge=1)
    """Times such a string may occur before every response with it is dropped (DeepDistill §2.5: 20; perhaps the string alone)."""
    max_perplexity: float | None = Field(None, gt=1)
    """Perplexity of question and response above which it is dropped (DeepDistill §2.5: 20)."""
    perplexity_model: str | None = None
    """The model that scores, on the Hugging Face hub, where there is no `scorer` input (DeepDistill: AM-Distill-Qwen-32B)."""
    perplexity_engine: Literal["openai", "transformers", "vllm"] = "transformers"
    """What runs that model."""
    perplexity_tokens: int = Field(32_768, ge=2)
    """Tokens after which a text is cut before it is scored; the paper gives no value."""


class Asked(NamedTuple):
    """What the rules need to know of a question."""

    turns: int
    prompt: str
    """Empty where perplexity is not asked for."""


class Screening(NamedTuple):
    """One row of screened, and more of why it was dropped."""

    row: Screened
    detail: str


def screen(
    rules: Rules, asked: Sequence[Asked], responses: Sequence[Response], ngrams: Ngrams | None, scorer: Scorer | None
) -> list[Screening]:
    """Judge a batch. Perplexity is asked for what all other rules keep: a model's time is dear."""
    made = _by_text(rules, asked, responses, ngrams)
    if scorer is None or rules.max_perplexity is None:
        return made
    kept = [place for place, each in enumerate(made) if each.row.kept]
    found = scorer.perplexities([f"{asked[place].prompt}\n{responses[place].text}" for place in kept])
    for place, value in zip(kept, found, strict=True):
        made[place] = _with_perplexity(made[place].row, value, rules.max_perplexity)
    return made


def _by_text(rules: Rules, asked: Sequence[Asked], responses: Sequence[Response], ngrams: Ngrams | None) -> list[Screening]:
    texts = [response.text for response in responses]
    words = tokens(texts)
    frequent: list[list[str]] = [[]] * len(texts)
    if ngrams is not None:
        frequent = ngrams.frequent(words if ngrams.cut is str.split else tokens(texts, ngrams.cut))
    each = zip(asked, responses, longest_repeats(words), frequent, strict=True)
    return [_judged(rules, question, response, repeat, strings) for question, response, repeat, strings in each]


def _judged(rules: Rules, asked: Asked, response: Response, repeat: Repeat, frequent: Sequence[str]) -> Screening:
    wanted = {"odd_turns": rules.require_even_turns, "no_think": rules.require_think, "no_answer": rules.require_answer}
    flaws = [flaw for flaw in structure_flaws(asked.turns, response) if wanted[flaw]]
    reason, detail = None, ""
    if flaws:
        reason, detail = flaws[0], ", ".join(flaws)
    elif rules.max_repeat is not None and repeat.times > rules.max_repeat:
        reason, detail = "repetition", f"{repeat.times} times: {repeat.phrase}"
    elif frequent:
        reason, detail = "frequent_ngrams", frequent[0]
    row = Screened(*response_key(response), None, repeat.times, len(frequent), not flaws, reason is None, reason)
    return Screening(row, detail)


def _with_perplexity(row: Screened, value: float | None, most: float) -> Screening:
    above = value is not None and value > most
    reason, detail = ("perplexity", f"{value:.1f}") if above else (None, "")
    key = response_key(row)
    return Screening(Screened(*key, value, row.longest_repeat, row.frequent_ngrams, row.structure_ok, not above, reason), detail)
