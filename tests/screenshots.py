"""``make screenshots``: the images of ``docs/screenshots``. The present code draws the pages of the run that ``make demo`` left.

``shown.json`` beside the images holds a fingerprint of each page: that of the same page of a small fixed run. A test compares it
with what the present code draws, without a demo and without a browser, and names the images that have to be taken again.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser as ChromiumBrowser
from playwright.sync_api import Page, sync_playwright

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.store import artifact_name
from stillhouse.browsing.browser import Browser
from stillhouse.registry.gate import DecisionRecord
from stillhouse.reporting import leaderboard, run_facts, run_page, store_runs, summary, teaching, training_curves
from tests.browser import CHROMIUM, served
from tests.unit.browsing.views import publish_view
from tests.unit.reporting.nights import publish_night
from tests.unit.reporting.published import publish_run
from tests.unit.reporting.test_run_page import FIRST, write_rows

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "screenshots"
SHOWN = "shown.json"
STORE = ROOT / ".stillhouse" / "file" / "store"
WIDTH, QUALITY = 1100, 82
CURVES = {"sft toy": {"train/loss": [(0.0, 2.0), (1.0, 1.0), (2.0, 0.5)]}}


@dataclass(frozen=True)
class Shot:
    """One image."""

    page: str
    """``run``, ``leaderboard``, ``view`` or ``row``."""
    anchor: str = "body"
    """What it begins with, as a selector."""
    height: int = 760
    scheme: str = "light"
    act: Callable[[Page], None] = lambda page: None
    """What is done on the page first."""


def open_first_sample(page: Page) -> None:
    """Open the first sample of a run's page, with its thinking."""
    page.locator("details.sample > summary").first.click()
    page.locator("details.sample details.think > summary").first.click()


def compare_two(page: Page) -> None:
    """Open the first wrong answer, and compare it with the first right one to its question."""
    page.select_option("select[name=kind]", "wrong")
    page.wait_for_url("**kind=wrong**")
    page.locator("tr.row a").first.click()
    page.wait_for_url("**/row/**")
    for verdict in ("correct", "wrong"):
        page.locator("tr", has=page.locator("input[name=compare]"), has_text=verdict).first.locator("input").check()
    page.get_by_role("button", name="compare", exact=True).click()
    page.wait_for_url("**compare=**")


SHOTS = {
    "run": Shot("run"), "run-rows": Shot("run", "#rows", 1000), "run-training": Shot("run", "#training"),
    "run-sample": Shot("run", "#samples", act=open_first_sample), "leaderboard": Shot("leaderboard", height=900, scheme="dark"),
    "view": Shot("view", height=560), "row": Shot("row", "#compared", act=compare_two),
}  # fmt: skip
"""By the name of the image."""


def write_run_page(path: Path, store: Path, profile: str, version: str) -> None:
    """The page of a run from its artifacts, as ``registry`` draws it."""
    uri = (store / "registry" / profile / version).as_uri()
    inputs = manifests.load(uri).inputs
    uris = {name: [link.uri for link in inputs.get(name, [])] for name in ("report", "checkpoint", "others")}
    found = summary.collect([*uris["report"], *uris["checkpoint"], *uris["others"]])
    directories = {artifact_name(uri): Path(uri.removeprefix("file://")) for uri in (*uris["others"], *uris["report"])}
    reports = {label: directories[label] for label in found.outcomes if label in directories}
    record = DecisionRecord.model_validate_json((store / "registry" / profile / version / DecisionRecord.FILE).read_bytes())
    run_page.write_run(path, found, record, teaching.cases(reports), training_curves.curves(found))


def fixed_pages(directory: Path) -> dict[str, str]:
    """Each page of a small fixed run, without what differs from one call to the next: paths, fingerprints, the address' token."""
    last, trained, others = publish_run(directory / "run")
    text = "So $x^2$.\n```python\nprint(1)\n```"
    cases = teaching.cases({"last": write_rows(directory / "last", [(False, True), (True, False)], text, think="hm")})
    run_page.write_run(directory / "run.html", summary.collect([last, trained, *others]), FIRST, cases, CURVES)
    nights = [publish_night(directory / "nights", f"v{night}", night, passed=(80, 110 + night)) for night in range(2)]
    records = [run_facts.record(run, run_facts.read(run)) for run in nights]
    leaderboard.write(directory / "leaderboard.html", "toy", records)
    uris = publish_view(directory / "view")
    with served(Browser([uris["verified"], uris["graded"]])) as address:
        read = {
            name: urllib.request.urlopen(address + path).read().decode()
            for name, path in (("view", ""), ("row", "row/0?compare=0&compare=2"))
        }
        token = address.rsplit("/", 2)[1]
    pages = {name: (directory / f"{name}.html").read_text(encoding="utf-8") for name in ("run", "leaderboard")} | read
    return {
        name: re.sub(r"\b[0-9a-f]{16}\b", "#", page.replace(str(directory), "").replace(token, "")) for name, page in pages.items()
    }


def fingerprints() -> dict[str, str]:
    """Of what each page shows, and of how its images are taken."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = fixed_pages(Path(scratch))
    shots = {name: (shot.page, shot.anchor, shot.height, shot.scheme) for name, shot in SHOTS.items()}
    taken = {page: {name: shot for name, shot in shots.items() if shot[0] == page} for page in pages}
    return {name: hashlib.sha256(f"{taken[name]}{page}".encode()).hexdigest()[:16] for name, page in pages.items()}


def stale(directory: Path = IMAGES) -> list[str]:
    """The images that are missing, and those whose page shows something else now."""
    known = json.loads((directory / SHOWN).read_text(encoding="utf-8")) if (directory / SHOWN).is_file() else {}
    present = fingerprints()
    return [
        name
        for name, shot in SHOTS.items()
        if not (directory / f"{name}.webp").is_file() or known.get(shot.page) != present[shot.page]
    ]  # fmt: skip


def take(browser: ChromiumBrowser, addresses: Mapping[str, str], store: Path, directory: Path) -> None:
    """Take every image. ``addresses``: of the pages. Paths of this machine are not shown."""
    directory.mkdir(parents=True, exist_ok=True)
    scroll = "one => window.scrollBy({top: one.getBoundingClientRect().top - 12, behavior: 'instant'})"
    hide = "(list, path) => list.forEach(one => one.textContent = one.textContent.replace('file://' + path, '$STORE'))"
    for name, shot in SHOTS.items():
        page = browser.new_page(viewport={"width": WIDTH, "height": shot.height}, color_scheme=shot.scheme)
        page.goto(addresses[shot.page])
        shot.act(page)
        page.locator(".path").evaluate_all(hide, str(store))
        if str(store) in page.locator("body").inner_text():
            sys.exit(f"error: {name} shows a path of this machine")
        page.mouse.move(0, 0)
        page.locator(shot.anchor).evaluate(scroll)
        options = {"format": "webp", "quality": QUALITY}
        image = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
        (directory / f"{name}.webp").write_bytes(base64.b64decode(image["data"]))
        page.close()
    (directory / SHOWN).write_text(json.dumps(fingerprints(), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Take the images from the store of ``make demo``."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--store", type=Path, default=STORE, help="where `make demo` left its run")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--version", default="demo")
    options = parser.parse_args()
    store = options.store.resolve()
    if not (store / "registry" / options.profile / options.version / manifests.MANIFEST).is_file():
        run = f"{options.profile} {options.version}"
        sys.exit(f"error: {store} holds no run {run}: run `make demo` first, or name its store by --store")
    if CHROMIUM is None:
        sys.exit("error: no Chromium on this machine: apt-get install chromium")
    rows = [str(store / stage / options.profile / options.version) for stage in ("verified", "graded")]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver, served(Browser(rows)) as view:
        pages = Path(scratch)
        write_run_page(pages / "run.html", store, options.profile, options.version)
        records = store_runs.runs(str(store), options.profile).by_profile[options.profile]
        leaderboard.write(pages / "leaderboard.html", options.profile, records)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        addresses = {name: (pages / f"{name}.html").as_uri() for name in ("run", "leaderboard")} | {"view": view, "row": view}
        take(browser, addresses, store, IMAGES)
        browser.close()
    print(f"{len(SHOTS)} images in {IMAGES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
