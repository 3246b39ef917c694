"""The models that judge, by category: each is loaded when its first answer comes."""

from collections.abc import Sequence

from stillhouse.errors import BadConfig
from stillhouse.sampling.engine import Engine, load
from stillhouse.verification import judging, reward_model
from stillhouse.verification.config import JudgeConfig, RewardModelConfig
from stillhouse.verification.judging import EQUIVALENCE, QUALITY, SIMILARITY, JudgeTask, judged
from stillhouse.verification.reward_model import Rater, rated
from stillhouse.verification.verdict import NO_RULE, Verdict, VerificationRequest
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.rows import ResponseKey

KeyedRequests = Sequence[tuple[ResponseKey, VerificationRequest]]


def task_of(category: Category) -> JudgeTask:
    """What a judge is asked: agreement with the reference if the category needs one, else the quality of the answer."""
    return SIMILARITY if FACTS[category].needs == "reference_answer" else QUALITY


class Judges:
    """A judge and a reward model; either may be absent."""

    def __init__(
        self, judge: JudgeConfig | None, reward_model_config: RewardModelConfig | None, *, second_stage: bool = False
    ) -> None:
        """Raises BadConfig for a second stage without a judge."""
        self._judge, self._reward_model, self._has_second_stage = judge, reward_model_config, second_stage
        self._engine: Engine | None = None
        self._rater: Rater | None = None
        if second_stage and judge is None:
            msg = "verified: second_stage asks a judge where the rule says wrong, but `judge` is not set; name its model there"
            raise BadConfig(msg)

    def judge(self, category: Category, keyed: KeyedRequests) -> list[Verdict]:
        """A model's verdicts: on quality the reward model's if there is one, else the judge's.

        Raises BadConfig if the config names no model for the category.
        """
        task = task_of(category)
        if task is not QUALITY or self._reward_model is None:
            return self._by_judge(task, category, keyed)
        self._rater = self._rater or reward_model.load(self._reward_model)
        return rated(self._rater, self._reward_model, [request for _, request in keyed])

    def second_stage(self, category: Category, keyed: KeyedRequests, first: Sequence[Verdict]) -> list[Verdict]:
        """The verdicts after the second stage: a judge is asked where the rule says wrong (DeepDistill, Eq. 1).

        Without ``second_stage`` it is asked only about references that no rule reads.
        """
        verdicts = list(first)
        if self._judge is None or FACTS[category].verifier != "math":
            return verdicts
        asks_again = self._has_second_stage
        wrong = [
            index for index, verdict in enumerate(first)
            if verdict.method == NO_RULE or (asks_again and verdict.kind in ("wrong", "malformed"))
        ]  # fmt: skip
        second = self._by_judge(EQUIVALENCE, category, [keyed[index] for index in wrong]) if wrong else []
        for index, verdict in zip(wrong, second, strict=True):
            by_rule = verdicts[index]
            method = f"{by_rule.method} then {judging.METHOD}"
            verdicts[index] = Verdict(verdict.kind, verdict.verify_score, method, verdict.detail, by_rule.seconds)
        return verdicts

    def settings(self, category: Category) -> str:
        """The part of the config that decides a model's verdict on the category, as text."""
        if task_of(category) is QUALITY and self._reward_model:
            return self._reward_model.model_dump_json()
        return self._judge.model_dump_json() if self._judge else ""

    def second_stage_settings(self, category: Category) -> str:
        """The same for a category that a rule scores: the judge's settings if it is asked again, and about what."""
        if self._judge is None or FACTS[category].verifier != "math":
            return ""
        return ("" if self._has_second_stage else "unread references: ") + self._judge.model_dump_json()

    def _by_judge(self, task: JudgeTask, category: Category, keyed: KeyedRequests) -> list[Verdict]:
        if self._judge is None:
            fields = "`judge` or `reward_model`" if task is QUALITY else "`judge`"
            msg = f"verified: a model scores answers of category {category}, but {fields} is not set; name its model there"
            raise BadConfig(msg)
        self._engine = self._engine or load(self._judge, self._judge.model)
        return judged(self._engine, self._judge, task, keyed)
