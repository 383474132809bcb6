"""An analyst's way through Airflow's UI in a real browser, from an empty machine to a report and a download.

``make screenshots`` runs it with ``NIGHTPRESS_SCREENSHOTS=docs/images``: then it takes the pictures of the docs, too.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS, batches_ending
from tests.support.running_airflow import PROJECT, AirflowInstance
from tests.support.shared_airflow import SharedAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.airflow

DAG, DAY, COMPARED = "article_summaries", "2026-11-05", "compare_prompts"
SCRIPT = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
WIDTH, NARROW, HEIGHT = 1280, 390, 860

MAX_CLICKS = 12
"""From the first page of Airflow to the answers in one's own hands."""

TERMS = (
    *("approval", "batch", "budget", "collected", "expected", "ledger", "list price", "offline API"),
    *("open question", "paid", "plan", "published", "receipt", "rejected", "replaced", "reused", "saved"),
    *("second round", "shard", "submitted", "upper bound", "took", "custom_id", "attached", "adopted"),
)
"""Words of this project: what an analyst meets of them on the way is in the glossary."""


class AnalystScreen:
    """An Airflow, an offline API whose batches end when told to, and the analyst's browser.

    :ivar clicks: so far.
    :ivar seen: the text of each of our pages that was shown.
    """

    def __init__(
        self, server: LocalApiServer, airflow: AirflowInstance, page: Page, shots: Path | None
    ) -> None:
        self.server, self.airflow, self.page, self.shots = server, airflow, page, shots
        self.clicks = 0
        self.seen: dict[str, str] = {}

    def show(self, path: str) -> None:
        self.page.goto(f"{self.airflow.api.url}{path}")

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def picture(self, name: str, height: int = HEIGHT) -> None:
        """Keep what is seen, when pictures are wanted."""
        if self.shots is not None:
            self.page.wait_for_timeout(2_500)
            clip: Any = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            self.page.screenshot(path=self.shots / f"{name}.png", clip=clip)

    def read(self, name: str, path: str) -> None:
        """Show a page of ours by day and by night, wide and on a phone: nothing of it runs over."""
        for width, scheme in ((WIDTH, "light"), (NARROW, "dark")):
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            self.show(path)
            self.page.locator("h1").first.wait_for()
            if self.shots is not None:
                self.page.wait_for_timeout(1_500)
                looked = Path(os.environ.get("NIGHTPRESS_LOOKED_AT", self.airflow.folder))
                self.page.screenshot(path=looked / f"{name}-{width}-{scheme}.png")
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} pixels wide on a screen of {width}"
        self.seen[name] = self.page.inner_text("body")
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        self.page.emulate_media(color_scheme="light")

    def new_run(self, known: set[str]) -> str:
        """Give the run that a click has started."""
        for _ in range(60):
            runs = [run["dag_run_id"] for run in self.airflow.api.runs(DAG) if run["run_type"] == "manual"]
            if new := [run_id for run_id in runs if run_id not in known]:
                return str(new[0])
            time.sleep(0.5)
        raise AssertionError("the click on Trigger started no run")

    def wait_for(self, run_id: str, task: str, state: str) -> None:
        for _ in range(240):
            if state in self.airflow.states(run_id, DAG).get(task, {}).values():
                return
            time.sleep(0.5)
        raise AssertionError(self.airflow.states(run_id, DAG))

    def approve(self, run_id: str) -> None:
        """Click Approve; again, when the scheduler was slower than the click and asks a second time."""
        for attempt in range(3):
            self.page.wait_for_timeout(5_000)
            button = self.page.get_by_role("button", name="Approve")
            if attempt:
                button.click()
            else:
                self.click(button)
            for _ in range(50):
                if self.airflow.states(run_id, DAG)["approve_plan"][-1] == "success":
                    return
                time.sleep(0.5)
            self.page.reload()
        raise AssertionError(self.airflow.states(run_id, DAG))

    def report(self) -> Path:
        path = self.airflow.data / "reports" / f"day={DAY}" / "report.html"
        for _ in range(120):
            if path.exists():
                return path
            time.sleep(0.5)
        raise AssertionError("no report came")

    def nothing_ran(self) -> None:
        assert [frame.url for frame in self.page.frames if frame.evaluate("window.pwned")] == []


@pytest.fixture
def screen(shared: SharedAirflow, browser: Browser) -> Iterator[AnalystScreen]:
    wanted = os.environ.get("NIGHTPRESS_SCREENSHOTS")
    shots = PROJECT / wanted if wanted else None
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, accept_downloads=True)
    page = context.new_page()
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    try:
        for dag in (DAG, "daily_report"):
            shared.airflow.instance.wait_for_dag(dag)
        yield AnalystScreen(shared.server, shared.airflow, page, shots)
        assert said == []
    finally:
        context.close()


def write_articles(path: Path, mark: str) -> Path:
    """Write 24 of the sample's articles with ``mark`` in every field, of today's day."""
    sample = json.loads((PROJECT / "include" / "sample" / "articles-en.json").read_text())
    rows = [row for row in sample if row.get("id") and row.get("content")][:24]
    marked = [{name: f"{value}{mark}" for name, value in row.items()} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in marked))
    return path


def test_an_analyst_asks_approves_watches_and_reads(screen: AnalystScreen) -> None:
    page = screen.page
    source = write_articles(
        screen.airflow.data / "inbox" / f"day={DAY}" / "articles.jsonl", "" if screen.shots else SCRIPT
    )
    screen.show("/")
    screen.click(page.get_by_role("link", name="Dags").first)
    screen.click(page.get_by_role("link", name=DAG, exact=True).first)
    page.wait_for_url(f"**/dags/{DAG}")
    page.get_by_text("Latest Dag Version").wait_for()
    before = [run for run in screen.airflow.api.runs(DAG) if run["run_type"] == "scheduled"]
    run_id = fill_the_form(screen, source)
    screen.wait_for(run_id, "approve_plan", "awaiting_input")
    if not before:  # an earlier module may have switched the DAG on
        nobody_asked_for_the_scheduled_run(screen)
    read_the_plan_and_approve(screen, run_id)
    watch_it_to_the_published_day(screen, run_id)
    take_the_answers_along(screen)
    a_run_that_fails_says_why_at_once(screen)
    if screen.shots:
        compare_prompts(screen)
    assert screen.clicks <= MAX_CLICKS
    glossary = (PROJECT / "docs" / "glossary.md").read_text().lower()
    shown = " ".join(screen.seen.values()).lower()
    met = [term for term in TERMS if re.search(rf"\b{term.lower()}", shown)]
    assert met
    assert [term for term in met if term.lower().removesuffix("ed") not in glossary] == []


def fill_the_form(screen: AnalystScreen, source: Path) -> str:
    """15.11: what matters is open and first, with what the question is; no red star on a switch."""
    page = screen.page
    screen.click(page.get_by_role("button", name="Trigger").first)
    form = page.get_by_role("dialog")
    if screen.shots:
        form.get_by_text("Run this Dag for a range of dates").click()
        screen.picture("backfill")
        form.get_by_text("Trigger a single run of this Dag").click()
    assert form.get_by_text("Unpause article_summaries on trigger").is_visible()
    form.locator("#element_source").fill("" if screen.shots else str(source))
    form.locator("#element_day").fill(DAY)
    assert form.locator("textarea").first.is_visible()
    assert form.get_by_text("claude-haiku-4-5 · $0.50 in, $2.50 out per million tokens").is_visible()
    assert "*" not in form.get_by_text("Plan only", exact=False).first.inner_text()
    screen.picture("form")
    form.locator("[name=element_approve_above_usd]").fill("0.001")
    known = {run["dag_run_id"] for run in screen.airflow.api.runs(DAG)}
    screen.click(form.get_by_role("button", name="Trigger", exact=True))
    return screen.new_run(known)


def nobody_asked_for_the_scheduled_run(screen: AnalystScreen) -> None:
    """15.1: the click has switched the DAG on, and Airflow starts the latest day: it has no articles, and ends."""
    for _ in range(240):
        runs = [run for run in screen.airflow.api.runs(DAG) if run["run_type"] == "scheduled"]
        if runs and runs[0]["state"] in {"success", "failed"}:
            break
        time.sleep(0.5)
    assert [run["state"] for run in runs] == ["success"]
    plan = screen.airflow.api.xcom(DAG, runs[0]["dag_run_id"], "read_articles", key="plan")
    assert any("Nobody asked for it" in note for note in plan["notes"]), plan["notes"]
    assert any("has no article: the run ends here" in note for note in plan["notes"])


def read_the_plan_and_approve(screen: AnalystScreen, run_id: str) -> None:
    """15.5 and 15.11: the Batches page leads to the approval; the plan says what is asked, and what it may cost."""
    page = screen.page
    run_path = f"/dags/{DAG}/runs/{quote(run_id, safe='')}"
    screen.show(f"{run_path}/tasks/read_articles/details")
    link = page.locator("a[href*='/nightpress/plans/']")
    link.wait_for()
    assert link.inner_text() == "Plan"
    plan = str(link.get_attribute("href"))
    page.goto(screen.airflow.api.url + plan)
    page.get_by_text("waits for approval").wait_for()
    assert "24" in page.inner_text("body")
    screen.picture("plan", 470)
    screen.nothing_ran()
    screen.read("plan", plan)

    screen.show("/")
    screen.click(page.get_by_role("link", name="Batches"))
    frame = page.frame_locator("iframe[title=Batches]")
    waiting = frame.locator(".run").first
    waiting.get_by_text("A person must approve the plan").wait_for()
    screen.click(waiting.get_by_role("link", name="Approve or reject"))
    page.get_by_text("24 articles, at most").wait_for()
    screen.picture("approval")
    assert screen.server.billing()["batches_accepted"] == 0
    screen.approve(run_id)


def watch_it_to_the_published_day(screen: AnalystScreen, run_id: str) -> None:
    """15.5 and 15.7: the run from its batch to the published day; the report holds it."""
    page = screen.page
    screen.wait_for(run_id, "shard.wait_for_batch", "deferred")
    screen.show("/")
    screen.click(page.get_by_role("link", name="Batches"))
    frame = page.frame_locator("iframe[title=Batches]")
    frame.get_by_text("0 of 1 ended").wait_for()
    screen.picture("batches")
    screen.nothing_ran()

    screen.server.advance_clock(BATCH_SECONDS)
    assert screen.airflow.wait(run_id, dag_id=DAG)["state"] == "success"
    report = screen.report()
    frame.get_by_text("published", exact=True).first.wait_for()
    screen.nothing_ran()
    screen.show(f"/dags/{DAG}/runs/{quote(run_id, safe='')}")
    screen.picture("grid")
    screen.read("batches", "/nightpress/batches")
    screen.read("report", f"/nightpress/reports/{DAY}")
    screen.show(f"/nightpress/reports/{DAY}")
    page.get_by_text("Published, every article answered").wait_for()
    screen.picture("report")
    page.goto(report.as_uri())
    page.get_by_text("Published, every article answered").wait_for()
    screen.nothing_ran()
    assert page.locator("script").count() == 0
    assert screen.shots or "<script>" in page.inner_text("body")


def take_the_answers_along(screen: AnalystScreen) -> None:
    """15.7: who has nothing but the UI gets the answers, and the report of that very run."""
    page = screen.page
    screen.show("/")
    screen.click(page.get_by_role("link", name="Batches"))
    run = page.frame_locator("iframe[title=Batches]").locator(".run", has_text=DAY).first
    with page.expect_download() as waiting:
        screen.click(run.get_by_role("link", name="CSV"))
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    assert text.splitlines()[0].startswith("article_id,title,")
    assert text.count("\n") > 24
    assert run.get_by_role("link", name="Report").get_attribute("href")


def a_run_that_fails_says_why_at_once(screen: AnalystScreen) -> None:
    """15.12: nine tasks are upstream_failed; the page names the one that failed, why, and leads to its log."""
    source = str(screen.airflow.data / "inbox" / "day=2026-11-04" / "nothing.jsonl")
    run_id = screen.airflow.trigger(DAG, {"day": "2026-11-04", "source": source})
    assert screen.airflow.wait(run_id)["state"] == "failed"
    states = screen.airflow.states(run_id)
    assert [task for task, found in states.items() if "failed" in found.values()] == ["read_articles"]
    screen.show("/nightpress/batches")
    run = screen.page.locator(".run", has_text="2026-11-04").first
    run.get_by_text("failed at read_articles").first.wait_for()
    assert "there is nothing at" in run.locator(".why").inner_text()
    assert run.locator("a[href*='tasks/read_articles']").count() >= 1


def compare_prompts(screen: AnalystScreen) -> None:
    """Take the picture of a comparison, of the same articles."""
    run_id = screen.airflow.trigger(COMPARED, {"day": DAY, "limit": 12})
    with batches_ending(screen.server):
        assert screen.airflow.wait(run_id, 300)["state"] == "success", screen.airflow.states(run_id)
    path = f"/nightpress/comparisons/{COMPARED}/{DAY}"
    screen.show(path)
    screen.picture("comparison")
    screen.read("comparison", path)
