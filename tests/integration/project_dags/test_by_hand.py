"""An analyst's way through Airflow's UI in a real browser: form, plan, approval, Batches page, report.

``make screenshots`` makes the pictures of the docs with it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS
from tests.support.running_airflow import PROJECT, AirflowInstance
from tests.support.shared_airflow import SharedAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.airflow

DAG, DAY = "article_summaries", "2026-11-05"
SCRIPT = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"


class AnalystScreen:
    """An Airflow, an offline API whose batches end when told to, and the analyst's browser."""

    def __init__(
        self, server: LocalApiServer, airflow: AirflowInstance, page: Page, shots: Path | None
    ) -> None:
        self.server, self.airflow, self.page, self.shots = server, airflow, page, shots

    def show(self, path: str) -> None:
        self.page.goto(f"{self.airflow.api.url}{path}")

    def picture(self, name: str, height: int = 860) -> None:
        """Keep what is seen, when pictures are wanted."""
        if self.shots is not None:
            self.page.wait_for_timeout(2_500)
            clip: Any = {"x": 0, "y": 0, "width": 1280, "height": height}
            self.page.screenshot(path=self.shots / f"{name}.png", clip=clip)

    def narrow_and_dark(self, name: str, path: str) -> None:
        """Keep a page of ours as a phone shows it at night, when pictures are wanted."""
        if self.shots is not None:
            self.page.set_viewport_size({"width": 390, "height": 860})
            self.page.emulate_media(color_scheme="dark")
            self.show(path)
            self.page.wait_for_timeout(2_500)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            self.page.screenshot(path=self.shots / f"{name}-narrow-dark.png")
            self.page.set_viewport_size({"width": 1280, "height": 860})
            self.page.emulate_media(color_scheme="light")
            assert wide <= 390, f"{path} is {wide} pixels wide on a narrow screen"

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
        for _ in range(3):
            self.page.wait_for_timeout(5_000)
            self.page.get_by_role("button", name="Approve").click()
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
    context = browser.new_context(viewport={"width": 1280, "height": 860})
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
    path.write_text("".join(json.dumps(row) + "\n" for row in marked))
    return path


def test_an_analyst_asks_approves_watches_and_reads(screen: AnalystScreen, tmp_path: Path) -> None:
    source = write_articles(tmp_path / "articles.jsonl", "" if screen.shots else SCRIPT)
    page = screen.page
    screen.show(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    if screen.shots:
        form.get_by_text("Run this Dag for a range of dates").click()
        screen.picture("backfill")
        form.get_by_text("Trigger a single run of this Dag").click()
    form.locator("#element_source").fill(str(source))
    form.locator("#element_day").fill(DAY)
    assert form.get_by_text("claude-haiku-4-5 · $0.50 in, $2.50 out per million tokens").is_visible()
    screen.picture("form")
    form.locator("[name=element_approve_above_usd]").fill("0.001")
    known = {run["dag_run_id"] for run in screen.airflow.api.runs(DAG)}
    form.get_by_role("button", name="Trigger", exact=True).click()
    run_id = screen.new_run(known)
    screen.wait_for(run_id, "approve_plan", "awaiting_input")

    run_path = f"/dags/{DAG}/runs/{quote(run_id, safe='')}"
    screen.show(f"{run_path}/tasks/read_articles/details")
    link = page.locator("a[href*='/nightpress/plans/']")
    link.wait_for()
    assert link.inner_text() == "Plan"
    page.goto(screen.airflow.api.url + str(link.get_attribute("href")))
    page.get_by_text("waits for approval").wait_for()
    assert "24" in page.inner_text("body")
    screen.picture("plan", 470)
    screen.nothing_ran()

    screen.show(f"{run_path}/tasks/approve_plan/required_actions")
    page.get_by_text("24 articles, at most").wait_for()
    screen.picture("approval")
    assert screen.server.billing()["batches_accepted"] == 0
    screen.approve(run_id)
    screen.wait_for(run_id, "shard.wait_for_batch", "deferred")
    screen.show("/plugin/batches")
    frame = page.frame_locator("iframe[title=Batches]")
    frame.get_by_text("0 of 1 ended").wait_for()
    screen.picture("batches")
    screen.nothing_ran()

    screen.server.advance_clock(BATCH_SECONDS)
    assert screen.airflow.wait(run_id, dag_id=DAG)["state"] == "success"
    report = screen.report()
    frame.get_by_text("published", exact=True).first.wait_for()
    screen.nothing_ran()
    screen.show(run_path)
    screen.picture("grid")
    if screen.shots:
        page.get_by_role("button", name="Graph").first.click()
        screen.picture("graph")
    screen.narrow_and_dark("batches", "/nightpress/batches")
    screen.narrow_and_dark("report", f"/nightpress/reports/{DAY}")
    screen.show(f"/nightpress/reports/{DAY}")
    page.get_by_text("Published, every article answered").wait_for()
    screen.picture("report")
    page.emulate_media(color_scheme="dark")
    screen.picture("report-dark")
    page.goto(report.as_uri())
    page.get_by_text("Published, every article answered").wait_for()
    screen.nothing_ran()
    assert page.locator("script").count() == 0
    assert screen.shots or "<script>" in page.inner_text("body")
