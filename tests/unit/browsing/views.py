"""Artifacts to look at: questions, two models' responses in artifacts of their own, verdicts and grades."""

from dataclasses import replace

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import Link
from stillhouse.vocabulary.rows import Dropped, Graded, Question, Response, Verified

MODELS = ("small", "large")
SAMPLES = 2


def publish_linked(root, rows, row_type, stage, name, inputs=(), **published):
    """Publish rows, and say in the manifest what they were made of."""
    uri = f"{root}/{stage}/{name}/1"
    testing.publish(rows, row_type, uri, **published)
    links = {}
    for input_name, input_uri in inputs:
        link = Link(uri=store.absolute(input_uri), fingerprint=manifests.load(input_uri).fingerprint)
        links.setdefault(input_name, []).append(link)
    manifest = manifests.load(uri).model_copy(update={"inputs": links})
    store.store_of(uri).write(f"{store.absolute(uri)}/manifest.json", manifests.serialised(manifest))
    return uri


def publish_view(root, n=6, text="It is {}.", **changes):
    """URIs by stage. Verdicts follow the responses, model by model; every third is wrong. Levels are 1 to 3."""
    questions = [replace(question, **changes) for question in testing.questions(n)]
    asked = publish_linked(
        root, questions, Question, "questions", "toy", dropped=[Dropped("gone", "duplicate", "kept instead: q0", "{}", 3)]
    )  # fmt: skip
    uris = {"questions": asked}
    responses = []
    for model in MODELS:
        of_model = [
            testing.response(question, model=model, sample_index=sample, text=f"<think>hm {model}</think>{text.format(number)}")
            for number, question in enumerate(questions)
            for sample in range(SAMPLES)
        ]
        uris[model] = publish_linked(root, of_model, Response, "responses", model, [("questions", asked)])
        responses += of_model
    verdicts = [testing.verified(row, passed=index % 3 > 0) for index, row in enumerate(responses)]
    inputs = [("questions", asked), *(("responses", uris[model]) for model in MODELS)]
    uris["verified"] = publish_linked(root, verdicts, Verified, "verified", "toy", inputs)
    grades = [testing.graded(question, level=1 + number % 3) for number, question in enumerate(questions)]
    uris["graded"] = publish_linked(
        root, grades, Graded, "graded", "toy", [("questions", asked), ("verified", uris["verified"])]
    )  # fmt: skip
    return uris
