"""The models that judge, by category: loaded when the first answer of theirs comes, and not before."""

from collections.abc import Callable, Sequence

from stillhouse.errors import BadConfig
from stillhouse.sampling.engine import Engine, load
from stillhouse.verification import judging, reward_model
from stillhouse.verification.judging import SECOND_STAGE, TASKS, JudgeConfig, judged
from stillhouse.verification.reward_model import Rater, RewardModelConfig, rated
from stillhouse.verification.verdict import Request, Verdict
from stillhouse.vocabulary.rows import ResponseKey

Keyed = Sequence[tuple[ResponseKey, Request]]


class Judges:
    """A judge and a reward model, each or neither."""

    def __init__(self, judge: JudgeConfig | None, rewards: RewardModelConfig | None, *, second_stage: bool = False) -> None:
        self._judge, self._rewards, self._second_stage = judge, rewards, second_stage
        self._engine: Engine | None = None
        self._rater: Rater | None = None
        if second_stage and judge is None:
            msg = "verified: second_stage asks a judge where the rule says wrong, but `judge` is not set; name its model there"
            raise BadConfig(msg)

    def by_judge(self, category: str, keyed: Keyed) -> list[Verdict]:
        """The judge's verdicts. Raises BadConfig where the config has none."""
        return self._asked(TASKS[category], category, keyed)

    def by_reward_model(self, category: str, keyed: Keyed) -> list[Verdict]:
        """The reward model's verdicts; the judge's where there is no reward model."""
        if self._rewards is None:
            return self.by_judge(category, keyed)
        self._rater = self._rater or reward_model.load(self._rewards)
        return rated(self._rater, self._rewards, [request for _, request in keyed])

    def second(self, category: str, keyed: Keyed, first: Sequence[Verdict]) -> list[Verdict]:
        """The verdicts after the second stage: a judge is asked only where the rule says wrong (DeepDistill, Eq. 1)."""
        if not self._second_stage or category not in SECOND_STAGE:
            return list(first)
        places = [place for place, verdict in enumerate(first) if verdict.kind in ("wrong", "malformed")]
        found = self._asked(SECOND_STAGE[category], category, [keyed[place] for place in places]) if places else []
        made = list(first)
        for place, verdict in zip(places, found, strict=True):
            before = made[place]
            method = f"{before.method} then {judging.METHOD}"
            made[place] = Verdict(verdict.kind, verdict.verify_score, method, verdict.detail, before.seconds)
        return made

    def settings(self, category: str) -> str:
        """What of the config decides a verdict on the category, as text."""
        judge = self._judge.model_dump_json() if self._judge else ""
        if category in SECOND_STAGE:
            return judge if self._second_stage else ""
        if category not in JUDGES:
            return ""
        return self._rewards.model_dump_json() if self._rewards and JUDGES[category] is Judges.by_reward_model else judge

    def _asked(self, task: judging.Task, category: str, keyed: Keyed) -> list[Verdict]:
        if self._judge is None:
            also = " or `reward_model`" if JUDGES.get(category) is Judges.by_reward_model else ""
            msg = f"verified: a model scores answers of category {category}, but `judge`{also} is not set; name its model there"
            raise BadConfig(msg)
        self._engine = self._engine or load(self._judge, self._judge.model)
        return judged(self._engine, self._judge, task, keyed)


JUDGES: dict[str, Callable[[Judges, str, Keyed], list[Verdict]]] = {
    "science": Judges.by_judge, "multi_turn": Judges.by_reward_model, "other": Judges.by_reward_model,
}  # fmt: skip
"""By category: which model scores its answers."""
