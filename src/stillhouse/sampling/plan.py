"""Which responses to ask one model for, wave by wave: a wave may depend on the answers and the verdicts of those before it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stillhouse.sampling.engine import Request, Sampling, row_seed
from stillhouse.sampling.rounds import ask, ask_all
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.prompts import summary_prompt
from stillhouse.vocabulary.rows import Dropped, Message, Question, Response, ResponseKey

VERIFIED_AT_ONCE = 2048
"""Responses whose verdicts are waited for together: bounds the texts in memory."""

Chain = tuple[str, int]
"""Question and sample: what the rounds of one chain share."""


class Plan(ABC):
    """What to ask one model."""

    learns = False
    """Whether later waves depend on rows: then each is noted, those of earlier runs too."""

    @abstractmethod
    def wave(self) -> Iterator[Request]:
        """The requests of the present wave: the same ones however often it is called."""

    @abstractmethod
    def total(self) -> int:
        """Responses that this comes to, at most, by what is known now."""

    def note(self, row: Response) -> None:  # noqa: B027 - most plans learn nothing
        """The response to one of them."""

    def lost(self, request: Request) -> None:  # noqa: B027 - as above
        """One of them has no response, and will have none in this run."""

    def advance(self) -> bool:
        """Go on to the next wave. False where there is none."""
        return False

    def drops(self) -> Iterator[Dropped]:
        """What was given and cannot be asked about."""
        return iter(())

    def metrics(self) -> dict[str, int]:
        """Counts that only the plan knows."""
        return {}


def seeded(seed: int) -> Callable[[ResponseKey, Sequence[Message]], int]:
    """Seeds from a request's key and its prompt: an edited prompt is another request, even where the question's id is the same."""
    return lambda key, messages: row_seed(seed, (*key, ids.content_id(ids.prompt_text(messages))))


def _chain(key: ResponseKey) -> Chain:
    return key[0], key[4]


@dataclass
class Rounds(Plan):
    """``samples`` chains to every question, each of ``rounds`` rounds of thinking; a wave is a round."""

    sampling: Sampling
    model: str
    questions: Callable[[], Iterator[Question]]
    samples: int
    rounds: int = 1
    _number: int = 1
    _answers: dict[Chain, str | None] = field(default_factory=dict)
    _next: dict[Chain, str | None] = field(default_factory=dict)
    _ended: set[Chain] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.learns = self.rounds > 1
        self._total = sum(1 for _ in self.questions()) * self.samples * self.rounds

    def wave(self) -> Iterator[Request]:
        """See Plan."""
        seed_of = seeded(self.sampling.seed)
        asked = ask_all(self.sampling, self.model, self.questions(), self.samples, self._number, self._answers, seed_of)
        return (request for request in asked if _chain(request.key) not in self._ended)

    def note(self, row: Response) -> None:
        """See Plan."""
        self._next[row.question_id, row.sample_index] = row.answer

    def lost(self, request: Request) -> None:
        """See Plan. The chain ends here: once its answer is there after all, the next round asks something else."""
        self._ended.add(_chain(request.key))
        self._total -= self.rounds - self._number

    def advance(self) -> bool:
        """See Plan."""
        self._number += 1
        self._answers, self._next = self._next, {}
        return self._number <= self.rounds

    def total(self) -> int:
        """See Plan."""
        return self._total


@dataclass
class Standing:
    """How a question stands: the samples it was asked for, and the verdicts that came."""

    question: Question
    asked: int = 0
    passes: int = 0
    failures: int = 0
    answers: dict[tuple[int, int], str | None] = field(default_factory=dict)
    """By sample and round: a wave stays the same while its own answers come in."""


@dataclass
class Until(Plan):
    """One sample after another of every question, until ``enough`` of its verdicts are known or ``samples`` chains are through.

    With several rounds a chain goes through its rounds before the next chain begins. Everything about the questions is in memory:
    shards bound it.
    """

    sampling: Sampling
    model: str
    questions: Mapping[str, Question]
    samples: int
    rounds: int
    step: int
    enough: Callable[[Standing, int], bool]
    """Of a question and its number of samples left."""
    verify: Callable[[Sequence[Response]], Iterable[bool | None]]
    learns = True

    def __post_init__(self) -> None:
        self._most = self.samples * self.rounds
        self._all = {each: Standing(question) for each, question in self.questions.items()}
        self._open = list(self._all.values())
        self._pending: list[Response] = []
        self._total = len(self._all) * self._most
        self._skipped: set[str] = set()

    def wave(self) -> Iterator[Request]:
        """See Plan."""
        seed_of = seeded(self.sampling.seed)
        for each in self._open:
            for place in range(each.asked, min(each.asked + self.step, self._most)):
                index, number = place // self.rounds, place % self.rounds + 1
                yield ask(self.sampling, self.model, each.question, number, index, each.answers.get((index, number - 1)), seed_of)

    def note(self, row: Response) -> None:
        """See Plan."""
        self._pending.append(row)
        if len(self._pending) >= VERIFIED_AT_ONCE:
            self._verify()

    def lost(self, request: Request) -> None:
        """See Plan. The chain ends here, as in ``Rounds``."""
        self._skipped.add(request.key[0])

    def advance(self) -> bool:
        """See Plan."""
        self._verify()
        still = []
        for each in self._open:
            each.asked = min(each.asked + self.step, self._most)
            if each.question.question_id in self._skipped:
                each.asked = -(-each.asked // self.rounds) * self.rounds
            left = self._most - each.asked
            if left and not self.enough(each, left):
                still.append(each)
            else:
                self._total -= left
        self._open = still
        self._skipped.clear()
        return bool(still)

    def total(self) -> int:
        """See Plan."""
        return self._total

    def metrics(self) -> dict[str, int]:
        """See Plan."""
        return {
            "n_correct": sum(each.passes for each in self._all.values()),
            "n_questions_solved": sum(each.passes > 0 for each in self._all.values()),
            "n_not_needed": len(self._all) * self._most - self._total,
        }

    def _verify(self) -> None:
        for row, passed in zip(self._pending, self.verify(self._pending), strict=True):
            state = self._all[row.question_id]
            state.answers[row.sample_index, row.round] = row.answer
            if passed is not None:
                state.passes += passed
                state.failures += not passed
        self._pending = []


@dataclass
class Summaries(Plan):
    """One summary of the thinking of every response that has some, under the response's own key but for the prompt kind."""

    sampling: Sampling
    template: str
    questions: Mapping[str, Question]
    responses: Callable[[], Iterator[Response]]

    def wave(self) -> Iterator[Request]:
        """See Plan."""
        seed_of = seeded(self.sampling.seed)
        for row in self.responses():
            question = self.questions.get(row.question_id)
            if row.think is None or question is None:
                continue
            key: ResponseKey = (row.question_id, row.model, "summary", row.round, row.sample_index)
            asked = question.messages[-1]["content"] if len(question.messages) == 1 else ids.prompt_text(question.messages)
            messages: list[Message] = [{"role": "user", "content": summary_prompt(self.template, asked, row.think)}]
            yield Request(key, messages, seed_of(key, messages))

    def drops(self) -> Iterator[Dropped]:
        """See Plan: responses without thinking, or to a question that is not there."""
        for row in self.responses():
            if row.think is None:
                yield rows.dropped(row, "no_thinking")
            elif row.question_id not in self.questions:
                yield rows.dropped(row, "unknown_question")

    def total(self) -> int:
        """See Plan."""
        return sum(1 for _ in self.wave())
