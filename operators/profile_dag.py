"""A profile -> its DAG: the tasks that a pipeline asks for, with the profile's recipes, models, placement and trigger form.

    for profile in profiles("distill"):
        with ProfileDag(profile, __doc__) as path:
            questions = path.stage("questions")
            responses = path.stage("responses", questions=questions, checkpoint=path.model("large"))

A stage is passed the stages it reads: they are its inputs and its upstream tasks.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from airflow.sdk import get_parsing_context

from operators import dag_of_profile, leaderboard_task, parent, planned, roles, sharded, teacher, time_limits
from operators.events import ASSETS, REPORT
from operators.form_placement import FormPlacement
from operators.params import VERSION, Form, layers_macro, layers_of
from operators.placement import cpu, placed
from operators.roles import ENDPOINTS, Asked, Fetched, Made, Model
from operators.stage import operator_of
from operators.templates import Template
from operators.uris import MACROS
from stillhouse import stages
from stillhouse.api import profile_checks
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles as profile_files
from stillhouse.execution.profiles import ProfileFolder, ReachedModel, ServedModel, TaskPlacement, TrainedModel
from stillhouse.execution.recipes import as_layer
from stillhouse.stages import StageEntry

TEACHERS = ("responses-small", "responses-medium", "responses-large")
OTHER_RESPONSES = ("responses-summary", "responses-control")
"""Recipes of responses that are no teacher's: those of the answer study."""
JUDGES = ("judge", "reward", "labeller", "summariser")
"""Roles behind endpoints that do not answer questions."""
HUB = "hf://"
A_RUN = Template("{{ artifact('questions') }}")
"""Any output of the run: what a branch stands for is agreed on for all of its version."""


def profiles(pipeline: str) -> list[ProfileFolder]:
    """The sound profiles that follow a pipeline; ``STILLHOUSE_PROFILES`` limits them. ``wrong_profiles`` has others."""
    if (only_one := get_parsing_context().dag_id) is not None:  # a task starts: it needs no other DAG
        return profile_files.sound(pipeline, [only_one])
    only = [name.strip() for name in os.environ.get("STILLHOUSE_PROFILES", "").split(",") if name.strip()]
    return [profile for profile in profile_files.sound(pipeline, only) if not profile_checks.wrong_contents(profile)]


class ProfileDag:
    """The DAG of a profile, while its tasks are made."""

    def __init__(self, profile: ProfileFolder, page: str | None, *, params: Mapping[str, Any] | None = None) -> None:
        self.profile = profile
        self._form = Form(data=dict(profile.profile.benchmarks))
        self._models: dict[str, Model] = {}
        self._fetched: dict[str, Fetched] = {}
        self._own_params = {"version": VERSION} | dict(params or {})
        self._placement = FormPlacement()
        self._shards: dict[str, int] = {}
        self._facts: list[dict[str, Any]] = []
        self._defaults: dict[str, Any] = {}
        end = leaderboard_task.macros(profile, self._facts, self._form, self._defaults)
        self.dag, self._refusal = dag_of_profile.empty(profile, page, MACROS | end | self._macros())

    def __enter__(self) -> Self:
        self.dag.__enter__()
        self._opened = parent.open_run()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Finish the DAG. What keeps Airflow from having it is an import error; the DAGs of other profiles are not affected."""
        refusal = error or self._refusal
        if refusal is None:
            try:
                self._finish()
                self.dag.validate()  # as Airflow will
            except Exception as problem:  # noqa: BLE001  # whatever it is, it is this profile's
                refusal = problem
        self.dag.auto_register = refusal is None
        self.dag.__exit__(None, None, None)
        if isinstance(refusal, Exception):
            dag_of_profile.refuse(self.profile, refusal)
        return isinstance(refusal, Exception)

    def has(self, recipe: str) -> bool:
        """Whether the profile has a recipe."""
        return recipe in self.profile.recipes

    def model(self, role: str, **inputs: Any) -> Model:
        """What plays a role. ``inputs`` are what a recipe that is trained first reads, and further options of its task."""
        if role not in self._models:
            self._models[role] = self._model(role, inputs)
        return self._models[role]

    @property
    def trained_roles(self) -> list[str]:
        """The roles whose models this DAG trains first."""
        return [role for role, model in self.profile.profile.models.items() if isinstance(model, TrainedModel)]

    def stage(
        self, name: str, *, recipe: str = "", outlets: Sequence[Any] = (), priority: int = 1, reuse: bool = False,
        ask: Sequence[str] = (), measures: str = "", **inputs: Any,
    ) -> Made:  # fmt: skip
        """The task that makes the artifact ``name`` by the profile's ``recipe`` from ``inputs``.

        An input is one of, or a list of: a stage's result, a model, a URI; None is left out. ``reuse``: take over rows of the
        version published last, for example a response to the same question. ``ask``: roles behind endpoints that the stage asks.
        ``measures``: of a report, the role of its checkpoint.
        """
        recipe = recipe or name
        entry, sources = self._entry_of(recipe), {key: roles.present(value) for key, value in inputs.items()}
        asked = [one for values in sources.values() for one in values if isinstance(one, Asked)]
        asked += [model for model in map(self.model, ask) if isinstance(model, Asked)]
        choice = self.profile.placement(name, recipe, entry.name)
        where = self._place(name, choice, entry.image, loads_model=entry.model and not asked, trains=entry.ranks)
        where["variables"] = where.get("variables", {}) | roles.endpoints(asked, self._asked("reward") if "reward" in ask else None)
        layer, overrides = layers_of(recipe)
        target = Template(f"{{{{ artifact('{name}') }}}}")
        first, made = self._tasks(
            name, where, choice, entry, stage=entry.name, recipe=layer, overrides=overrides,
            inputs=roles.uris(sources) | ({"previous": "latest"} if reuse else {}),
            target=target, parent_run=parent.RUN_ID, outlets=list(outlets), priority_weight=priority,
        )  # fmt: skip
        self._facts.append({
            "name": name, "stage": entry.name, "recipe": recipe, "gpus": roles.gpus(where), "asks": bool(asked),
            "role": measures, "served_gpus": sum(model.gpus for model in asked),
            "inputs": {key: [one.name for one in values if isinstance(one, Made)] for key, values in sources.items()},
        })  # fmt: skip
        roles.connect(sources, asked, first, made)
        return Made(name, made, target)

    def _entry_of(self, recipe: str) -> StageEntry:
        """The stage of a recipe, whose section is added to the form. Raises BadConfig if the profile has no such recipe."""
        if not self.has(recipe):
            pipeline = self.profile.profile.pipeline
            msg = f"profile {self.profile.name} has no recipe {recipe}.yaml, which its pipeline {pipeline} needs"
            raise BadConfig(msg)
        if recipe not in self._form.sections:
            self._form.add(recipe, self._layer(recipe))
        return stages.entry_of(recipe.split("-", maxsplit=1)[0])

    def responses(self, questions: Made) -> list[Made]:
        """The responses of all teachers: of the recipe ``responses``, or of ``responses-large`` and its like, each by its role."""
        recipes = [name for name in self.matching("responses") if name not in OTHER_RESPONSES]
        sizes = sorted(recipes, key=lambda name: (TEACHERS.index(name) if name in TEACHERS else len(TEACHERS), name))
        made = []
        for recipe in sizes:
            role = recipe.partition("-")[2]
            asked: dict[str, Any] = {"checkpoint": self.model(role)} if role else {}
            ask = [] if role else [other for other in self.roles if isinstance(self._role(other), ServedModel | ReachedModel)]
            made.append(self.stage(recipe, reuse=True, questions=questions, ask=[one for one in ask if one not in JUDGES], **asked))
        return made

    def reports(self, checkpoints: Mapping[str, Model]) -> list[Made]:
        """Every checkpoint by every recipe of a report: ``report-{checkpoint}``, or one task to each benchmark."""
        made = []
        for name, checkpoint in checkpoints.items():
            for recipe in self.matching("report"):
                benchmark = recipe.removeprefix("report")
                made.append(
                    self.stage(f"report-{name}{benchmark}", recipe=recipe, checkpoint=checkpoint, outlets=[REPORT], measures=name)
                )
        return made

    def mapped_reports(self, evaluations: Any) -> None:
        """One report task for each of the planned evaluations."""
        choice = self.profile.placement("report")
        where = placed(stages.entry_of("report").image, loads_model=True, trains=False, choice=choice)
        operator_of(where).partial(
            task_id="report", stage="report", parent_run=parent.RUN_ID, outlets=[REPORT], **where
        ).expand_kwargs(evaluations)  # fmt: skip

    def register(self, *, checkpoint: Model, reports: Sequence[Made]) -> None:
        """Register the checkpoint by the last report, if the profile says how; after a person's word if it asks for that."""
        if not self.has("registry"):
            return
        *others, report = reports
        registered = self.stage("registry", report=report, checkpoint=checkpoint, others=others)
        if self.profile.profile.approve:
            approve = planned.promotion(report)
            report.task >> approve >> registered.task

    def release(self, selected: Made) -> None:
        """Write the selected examples as one file in a public schema, if the profile names one."""
        form = self.profile.profile.release
        if form is None:
            return
        where = cpu(1)
        target = Template(f"{{{{ released('{form}') }}}}")
        written = operator_of(where)(
            task_id="export", stage="export", words=["export", selected.target, "--as", form, "--output", target], **where
        )
        selected.task >> written

    def matching(self, *stems: str) -> list[str]:
        """The recipes named after one of the stems, or after it with a suffix."""
        return [name for stem in stems for name in self.profile.matching(stem)]

    @property
    def roles(self) -> list[str]:
        """The roles of the profile, in its order."""
        return list(self.profile.profile.models)

    def _role(self, role: str) -> Any:
        return self.profile.profile.models.get(role)

    def _place(self, name: str, choice: TaskPlacement, image: str, **facts: bool) -> dict[str, Any]:
        """Where a task runs: as the profile says; on a cluster the form can change it."""
        if os.environ.get("STILLHOUSE_RUNNER") == "process":
            return placed(image, choice=choice, **facts)
        where = self._placement.add(name, lambda chosen: placed(image, choice=chosen, **facts), choice)
        return where | {"limit": time_limits.template(name)}

    def _macros(self) -> dict[str, Any]:
        own = {"layers": layers_macro(self._form), "form": self._form, "placing": self._placement.macro()}
        return own | {"time_limit": time_limits.time_limit}

    def _tasks(self, name: str, where: dict[str, Any], choice: TaskPlacement, entry: StageEntry, **options: Any) -> tuple[Any, Any]:
        """The first and the last task of a stage: one and the same unless it is sharded."""
        where = {key: value for key, value in where.items() if value or key != "variables"}
        if choice.shards is None or entry.whole:
            made = operator_of(where)(task_id=name, **options, **where)
            return made, made
        self._shards[name] = choice.shards
        return sharded.tasks(name, where, combines=entry.combines, **options)

    def _model(self, role: str, inputs: Mapping[str, Any]) -> Model:
        model = self.profile.profile.models.get(role)
        if isinstance(model, TrainedModel):
            return self.stage(model.recipe, outlets=[ASSETS["checkpoint"]] if role == "student" else [], **inputs)
        if isinstance(model, ServedModel):
            chosen = self.profile.placement(f"teacher-{role}", "teacher").model_copy(update={"gpus": model.gpus})
            served = teacher.serve_role(model, placed("vllm", loads_model=True, trains=False, choice=chosen), A_RUN)
            if model.serve.startswith(HUB) and not teacher.served_elsewhere():
                self._fetch(role, model.serve).task >> served.start
            return Asked(served.endpoints, served.ready, served.stop, model.gpus * model.nodes * model.replicas)
        if isinstance(model, ReachedModel):
            return Asked(f"{model.name}={model.endpoint}" if model.endpoint else os.environ.get(ENDPOINTS, ""))
        return self._fetch(role, model) if model is not None and model.startswith(HUB) else model

    def _fetch(self, role: str, reference: str) -> Fetched:
        """The one task that brings a hub model into the shared cache, before pods that use it take their GPUs."""
        if reference not in self._fetched:
            where = cpu(1)
            fetch = ["fetch", reference, "--for", A_RUN]
            task = operator_of(where)(task_id=f"fetch-{role}", stage="fetch", words=fetch, **where)
            self._fetched[reference] = Fetched(reference, task)
        return self._fetched[reference]

    def _asked(self, role: str) -> Asked | None:
        model = self.model(role)
        return model if isinstance(model, Asked) else None

    def _layer(self, recipe: str) -> str:
        """The recipe by name if every image has it, else in full."""
        return f"@{self.profile.name}/{recipe}" if self.profile.packaged else as_layer(self.profile.recipes[recipe])

    def _finish(self) -> None:
        """Put the check and the plan before the path and the end of the run behind it, and build the form."""
        made = [one for one in self.dag.tasks if one.task_id not in {parent.OPEN}]
        roots = [one for one in made if not one.upstream_task_ids]
        leaves = [one for one in made if not one.downstream_task_ids]
        first = self._opened
        if self._facts:
            first = planned.plan(self._facts)
            self._opened >> first
        if self._facts and self.profile.profile.bound_gpu_hours is not None:
            first = planned.approval(first, self.profile.profile.bound_gpu_hours)
        for root in roots:
            first >> root
        recorded = leaderboard_task.task(self._opened)
        for leaf in leaves:
            leaf >> recorded
        recorded >> parent.close_run(self._opened)
        params = self._own_params | self._form.params() | planned.shard_params(self._shards) | self._placement.params()
        self.dag.params.update(params)
        self._defaults |= {name: copy.deepcopy(param.value) for name, param in params.items()}
