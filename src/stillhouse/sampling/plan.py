"""Which responses to ask one model for, wave by wave: a wave may depend on the answers and the verdicts of earlier waves."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request
from stillhouse.sampling.rounds import ask, ask_all
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.prompts import summary_prompt
from stillhouse.vocabulary.rows import Dropped, Message, Question, Response, ResponseKey
from stillhouse.vocabulary.seeds import row_seed

VERIFIED_AT_ONCE = 2048
"""Responses verified in one call: bounds the texts in memory."""

Verify = Callable[[Mapping[str, Question], Sequence[Response]], Iterable[bool | None]]
"""Questions by id, and responses to them -> whether each response passed, in order; None where the verifier failed."""

Chain = tuple[str, int]
"""Question id and sample index, which all rounds of one chain share."""


class SamplingPlan(ABC):
    """What to ask one model."""

    learns = False
    """Whether later waves depend on rows: then every row is noted, also those of earlier runs."""

    @abstractmethod
    def wave(self) -> Iterator[Request]:
        """The requests of the present wave: the same ones on every call."""

    @abstractmethod
    def total(self) -> int:
        """The most responses this can come to, by present knowledge."""

    def note(self, row: Response) -> None:  # noqa: B027 - most plans do not depend on rows
        """Take in the response to one of the requests."""

    def lost(self, request: Request) -> None:  # noqa: B027 - as above
        """Take in that a request will get no response in this run."""

    def advance(self) -> bool:
        """Move to the next wave. Returns False if there is none."""
        return False

    def drops(self) -> Iterator[Dropped]:
        """Input rows that cannot be asked about."""
        return iter(())

    def metrics(self) -> dict[str, int]:
        """Counts that the plan alone knows."""
        return {}


def seeded(seed: int) -> Callable[[ResponseKey, Sequence[Message]], int]:
    """Seeds from a request's key and prompt: an edited prompt is a new request, even under the same question id."""
    return lambda key, messages: row_seed(seed, (*key, ids.content_id(ids.prompt_text(messages))))


def _chain(key: ResponseKey) -> Chain:
    return key[0], key[4]


@dataclass
class Rounds(SamplingPlan):
    """``samples`` chains per question, each of ``rounds`` rounds of thinking; a wave is one round."""

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
        """See SamplingPlan."""
        seed_of = seeded(self.sampling.seed)
        requests = ask_all(self.sampling, self.model, self.questions(), self.samples, self._number, self._answers, seed_of)
        return (request for request in requests if _chain(request.key) not in self._ended)

    def note(self, row: Response) -> None:
        """See SamplingPlan."""
        self._next[row.question_id, row.sample_index] = row.answer

    def lost(self, request: Request) -> None:
        """See SamplingPlan. The chain ends here: a later run that gets the answer will ask something else in the next round."""
        self._ended.add(_chain(request.key))
        self._total -= self.rounds - self._number

    def advance(self) -> bool:
        """See SamplingPlan."""
        self._number += 1
        self._answers, self._next = self._next, {}
        return self._number <= self.rounds

    def total(self) -> int:
        """See SamplingPlan."""
        return self._total


@dataclass
class Standing:
    """The state of one question: the samples requested so far, and their verdicts."""

    question: Question
    requested: int = 0
    passes: int = 0
    failures: int = 0
    answers: dict[tuple[int, int], str | None] = field(default_factory=dict)
    """By sample and round, so that a wave stays the same while its own answers come in."""


@dataclass
class Until(SamplingPlan):
    """One sample of every question after another, until its verdicts are ``enough`` or ``samples`` chains are finished.

    A chain goes through all its rounds before the next one begins. Questions, answers and counts are held in memory: use shards
    to bound it.
    """

    sampling: Sampling
    model: str
    questions: Mapping[str, Question]
    samples: int
    rounds: int
    step: int
    enough: Callable[[Standing, int], bool]
    """Called with a question's state and the number of samples left."""
    verify: Callable[[Sequence[Response]], Iterable[bool | None]]
    """Whether each response passed, in order; None where the verifier failed."""
    learns = True

    def __post_init__(self) -> None:
        self._most = self.samples * self.rounds
        self._all = {question_id: Standing(question) for question_id, question in self.questions.items()}
        self._open = list(self._all.values())
        self._pending: list[Response] = []
        self._total = len(self._all) * self._most
        self._skipped: set[str] = set()

    def wave(self) -> Iterator[Request]:
        """See SamplingPlan."""
        seed_of = seeded(self.sampling.seed)
        for state in self._open:
            for sample in range(state.requested, min(state.requested + self.step, self._most)):
                index, number = sample // self.rounds, sample % self.rounds + 1
                answer = state.answers.get((index, number - 1))
                yield ask(self.sampling, self.model, state.question, number, index, answer, seed_of)

    def note(self, row: Response) -> None:
        """See SamplingPlan."""
        self._pending.append(row)
        if len(self._pending) >= VERIFIED_AT_ONCE:
            self._verify()

    def lost(self, request: Request) -> None:
        """See SamplingPlan. The chain ends here, as in ``Rounds``."""
        self._skipped.add(request.key[0])

    def advance(self) -> bool:
        """See SamplingPlan."""
        self._verify()
        still_open = []
        for state in self._open:
            state.requested = min(state.requested + self.step, self._most)
            if state.question.question_id in self._skipped:
                state.requested = -(-state.requested // self.rounds) * self.rounds
            left = self._most - state.requested
            if left and not self.enough(state, left):
                still_open.append(state)
            else:
                self._total -= left
        self._open = still_open
        self._skipped.clear()
        return bool(still_open)

    def total(self) -> int:
        """See SamplingPlan."""
        return self._total

    def metrics(self) -> dict[str, int]:
        """See SamplingPlan."""
        return {
            "n_correct": sum(state.passes for state in self._all.values()),
            "n_questions_solved": sum(state.passes > 0 for state in self._all.values()),
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
class Summaries(SamplingPlan):
    """One summary of the thinking in every response that has any, under the response's own key except for the prompt kind."""

    sampling: Sampling
    template: str
    questions: Mapping[str, Question]
    responses: Callable[[], Iterator[Response]]

    def wave(self) -> Iterator[Request]:
        """See SamplingPlan."""
        seed_of = seeded(self.sampling.seed)
        for row in self.responses():
            question = self.questions.get(row.question_id)
            if row.think is None or question is None:
                continue
            key: ResponseKey = (row.question_id, row.model, "summary", row.round, row.sample_index)
            text = question.messages[-1]["content"] if len(question.messages) == 1 else ids.prompt_text(question.messages)
            messages: list[Message] = [{"role": "user", "content": summary_prompt(self.template, text, row.think)}]
            yield Request(key, messages, seed_of(key, messages))

    def drops(self) -> Iterator[Dropped]:
        """See SamplingPlan: responses without thinking, or to a question that is not in the input."""
        for row in self.responses():
            if row.think is None:
                yield rows.dropped(row, "no_thinking")
            elif row.question_id not in self.questions:
                yield rows.dropped(row, "unknown_question")

    def total(self) -> int:
        """See SamplingPlan."""
        return sum(1 for _ in self.wave())
