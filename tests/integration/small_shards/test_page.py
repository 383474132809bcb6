"""The Batches page in a real browser, inside a real Airflow, while a pipeline runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from upath import UPath

from nightpress.batches.ledger import Attempt, Example
from nightpress.costs.plan import write_plan
from nightpress.layout import DataRoot
from tests.support.ledgers import entry, put
from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS
from tests.support.plans import make_plan
from tests.support.running_airflow import AirflowInstance
from tests.support.shared_airflow import SharedAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

pytestmark = pytest.mark.airflow

DAY = "2026-11-22"
SCRIPT = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"


class House:
    """An offline API, an Airflow, and a page of a browser that notes what it should not see."""

    def __init__(self, server: LocalApiServer, airflow: AirflowInstance, folder: Path) -> None:
        self.server, self.airflow, self.folder = server, airflow, folder
        self.data = UPath(airflow.data)

    def articles(self, count: int) -> str:
        path = self.folder / f"articles-{count}.jsonl"
        rows = ({"id": f"a-{n}", "title": SCRIPT, "content": f"{SCRIPT} number {n}."} for n in range(count))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)


@pytest.fixture(scope="module")
def house(shared: SharedAirflow, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(shared.server, shared.airflow, tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(house: House, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1500, "height": 900}, base_url=house.airflow.api.url)
    opened = context.new_page()
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.on(
        "console",
        lambda line: said.append(line.text) if "Content Security Policy" in line.text else None,
    )
    try:
        yield opened
        assert said == []
    finally:
        context.close()


def framed(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title=Batches]")


def pwned(page: Page) -> list[Any]:
    return [frame.evaluate("window.pwned") for frame in page.frames if frame.evaluate("window.pwned")]


def test_an_empty_page_says_how_to_begin(house: House, page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Batches").click()
    inside = framed(page)
    inside.get_by_role("heading", name="No runs yet").wait_for()
    inside.get_by_role("link", name="article_summaries").click()
    page.wait_for_url("**/dags/article_summaries")


def test_a_run_is_seen_from_its_first_batch_to_the_published_day(house: House, page: Page) -> None:
    run_id = house.airflow.trigger("shards_of_3", {"source": house.articles(12), "day": DAY})
    page.goto("/plugin/batches")
    inside = framed(page)
    inside.get_by_text("0 of 4 ended").wait_for(timeout=90_000)
    inside.locator("tr.submitted").nth(3).wait_for(timeout=60_000)
    assert inside.locator("tr.submitted").count() == 4
    assert inside.locator(".badge.running").count() == 1

    house.server.advance_clock(BATCH_SECONDS)
    inside.get_by_text("published", exact=True).wait_for(timeout=120_000)
    assert house.airflow.wait(run_id)["state"] == "success"
    inside.get_by_text("4 of 4 ended").first.wait_for()
    cost = inside.locator(".run .numbers b").inner_text()
    receipt = json.loads((house.airflow.data / "receipts" / "shards_of_3" / f"day={DAY}.json").read_text())
    assert float(cost.removeprefix("$")) == pytest.approx(receipt["paid_usd"], abs=5e-5)
    assert inside.locator("tr.collected").first.locator("td").nth(4).inner_text() == "3 ok"

    inside.locator("tr.collected").first.get_by_role("link", name="Task").click()
    page.wait_for_url(
        f"**/dags/shards_of_3/runs/{run_id.replace('+', '%2B').replace(':', '*')}/tasks/shard.write_results/mapped/*"
    )
    page.get_by_text("shard 0 · 3 articles").first.wait_for()


def test_the_ledger_knows_the_tasks_and_outcomes(house: House) -> None:
    entries = [
        msgspec.json.decode(path.read_bytes())
        for path in sorted((house.airflow.data / "ledger" / "offline").glob("*.json"))
    ]
    assert {(entry["dag_id"], entry["task_id"]) for entry in entries} == {
        ("shards_of_3", "shard.submit_batch")
    }
    assert sorted(entry["map_index"] for entry in entries) == [0, 1, 2, 3]
    assert all(entry["by_status"] == {"succeeded": 3} and entry["cost_usd"] > 0 for entry in entries)
    assert "pwned" not in json.dumps(entries)


def test_scripts_in_the_ledger_are_text(house: House, page: Page) -> None:
    evil = {"pipeline": SCRIPT, "run": SCRIPT, "dag_id": SCRIPT, "task_id": SCRIPT}
    examples = (Example(SCRIPT, SCRIPT, SCRIPT),)
    lost = (Attempt(number=1, at=1.0, deadline=2.0, outcome="open", detail=SCRIPT),)
    put(
        house.data,
        entry(
            900,
            **evil,
            day="2026-11-01",
            uri=f"file:///x/requests-{SCRIPT}.json",
            batch_id="msgbatch_900",
            by_status={"succeeded": 1, SCRIPT: 2},
            errors={SCRIPT: 2},
            examples=examples,
        ),
        entry(901, "intended", **evil, day="2026-11-01", attempts=lost),
    )
    (house.airflow.data / "ledger" / "offline" / f"{SCRIPT.replace('/', '')}.json").write_text("{")
    page.goto("/nightpress/batches")
    page.get_by_role("heading", name="2 open questions").wait_for()
    page.get_by_text("Failures by kind").first.wait_for()
    page.locator("tr.collected", has_text=SCRIPT).first.wait_for()
    text = page.locator("main").inner_text()
    assert text.count(SCRIPT) >= 6
    assert page.locator("main script, main img").count() == 0
    assert pwned(page) == []


def test_filters_stay_in_the_address_and_the_theme_is_airflows(house: House, page: Page) -> None:
    page.goto("/plugin/batches")
    inside = framed(page)
    inside.locator("#day").select_option(DAY)
    page.wait_for_url(f"**/plugin/batches/nightpress/batches?day={DAY}")
    inside.locator(".run").first.wait_for()
    assert inside.locator(".run .name strong").all_inner_texts() == ["shards_of_3"]
    page.reload()
    inside.locator(".run").first.wait_for()
    assert inside.locator("#day").input_value() == DAY
    for theme, colour in (("dark", "oklch(0.23185 0.0323 266.44)"), ("light", "rgb(255, 255, 255)")):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        page.reload()
        inside.locator(".run").first.wait_for()
        assert inside.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == colour


def test_the_page_says_when_its_data_is_old(house: House, page: Page) -> None:
    page.goto("/nightpress/batches")
    page.get_by_text("Live").wait_for()
    page.route("**/batches.json*", lambda route: route.abort())
    page.get_by_text("Airflow does not answer").wait_for(timeout=20_000)
    assert page.locator(".run").count() > 0
    page.get_by_text(re.compile(r"Data is \d+ s old")).wait_for()
    page.unroute("**/batches.json*")
    page.get_by_text("Live").wait_for(timeout=20_000)
    ledger = house.airflow.data / "ledger" / "offline"
    away = house.airflow.data / "away"
    ledger.rename(away)
    ledger.symlink_to(ledger)  # as unreadable as a store that is away
    try:
        page.get_by_text("The data root cannot be read").wait_for(timeout=20_000)
    finally:
        ledger.unlink()
        away.rename(ledger)
    page.get_by_text("Live").wait_for(timeout=20_000)


def test_a_plan_is_shown_as_text(house: House, page: Page) -> None:
    run = f"run {SCRIPT}"
    folder = DataRoot(house.data).run_folder("shards_of_3", DAY, run)
    plan = make_plan(
        notes=[SCRIPT],
        rejected={SCRIPT: 2},
        model=SCRIPT,
        source=SCRIPT,
        articles=1200,
        cost_upper_usd=None,
        cost_expected_usd=0.0123,
        offline=True,
    )
    write_plan(plan, folder)
    page.goto(f"/nightpress/plans/shards_of_3/{DAY}/{run.replace('/', '%2F').replace(' ', '%20')}")
    text = page.locator("main").inner_text()
    assert text.count(SCRIPT) >= 4
    assert [word in text for word in ("1,200", "$0.0123", "offline API")] == [True] * 3
    assert pwned(page) == []
    assert page.locator("body").evaluate("body => getComputedStyle(body).margin") == "0px"
    (folder / "plan.json").write_text('{"verdict"')
    page.reload()
    page.get_by_text("The plan cannot be read").wait_for()
    page.goto(f"/nightpress/plans/shards_of_3/{DAY}/none")
    page.get_by_text("There is no plan of run").wait_for()
    page.get_by_role("link", name="To the batches").click()
    page.wait_for_url("**/nightpress/batches")


def test_a_report_may_run_nothing(house: House, browser: Browser) -> None:
    folder = house.airflow.data / "reports" / f"day={DAY}"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(f"<style>h1 {{ color: rgb(1, 2, 3) }}</style><h1>Report</h1>{SCRIPT}")
    page = browser.new_page(base_url=house.airflow.api.url)
    blocked: list[str] = []
    page.on("console", lambda line: blocked.append(line.text))
    page.goto(f"/nightpress/reports/{DAY}")
    colour = page.locator("h1").evaluate("node => getComputedStyle(node).color")
    assert (colour, pwned(page)) == ("rgb(1, 2, 3)", [])
    assert any("Blocked script execution" in line or "Content Security Policy" in line for line in blocked)
    page.goto("/nightpress/reports/2026-10-01")
    page.get_by_text("There is no report of 2026-10-01 yet").wait_for()
    page.close()


def test_what_needs_a_person_is_first_from_the_first_task_on(house: House, page: Page) -> None:
    """An approval with its way to it, a source that cannot be read with why, a plan alone, an empty day."""
    day = "2026-11-14"
    waits = house.airflow.trigger("waits_for_approval", {"source": house.articles(5), "day": day})
    broken = house.airflow.trigger("shards_of_3", {"source": "/nowhere/x.jsonl", "day": "2026-11-13"})
    page.goto("/nightpress/batches")
    first = page.locator(".run", has_text=waits)
    first.locator(".badge.approval").wait_for(timeout=90_000)
    page.get_by_text("A person must approve the plan").first.wait_for()
    failed = page.locator(".run", has_text=broken)
    failed.locator(".badge.unreadable").wait_for(timeout=90_000)
    assert "/nowhere/x.jsonl" in failed.locator(".why").inner_text()
    # A run of the test before has an open question, too.
    shown = "".join(page.locator(".run .name").all_inner_texts()[:4])
    assert waits in shown
    assert broken in shown
    summary = page.locator("#summary").inner_text()
    assert "nothing is running" not in summary or "nothing waits for you" not in summary
    first.get_by_role("link", name="Approve or reject").click()
    page.wait_for_url("**/required_actions")
    page.get_by_text("at most").first.wait_for()


def test_a_published_day_can_be_taken_along(house: House, page: Page) -> None:
    page.goto(f"/nightpress/batches?day={DAY}")
    with page.expect_download() as waiting:
        page.locator(".run").first.get_by_role("link", name="CSV").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    assert waiting.value.suggested_filename == f"shards_of_3-{DAY}.csv"
    assert text.splitlines()[0].startswith("article_id,title,")
    assert "a-11" in text


def test_switching_a_dag_on_starts_nothing_that_spends(house: House) -> None:
    """Trap 1: the run that is due already asks, the one whose slot comes does not; however late either is."""
    for ahead in (0, 1):
        day = (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()
        inbox = house.data / "inbox" / f"day={day}"
        inbox.mkdir(parents=True)
        inbox.joinpath("a.jsonl").write_text(json.dumps({"id": "1", "title": "t", "content": "One."}))
    often, by_hand = "often_scheduled", "often_scheduled_by_hand"
    for dag in (often, by_hand):
        house.airflow.instance.wait_for_dag(dag)
        house.airflow.api.set_paused(dag, False)
    deadline = time.monotonic() + 120
    while len(ended := ended_runs(house, often)) < 2 or len(hand_ended := ended_runs(house, by_hand)) < 2:
        assert time.monotonic() < deadline, ended
        time.sleep(1)
    for dag in (often, by_hand):
        house.airflow.api.set_paused(dag, True)
    plans = [house.airflow.api.xcom(often, run["dag_run_id"], "read_articles", key="plan") for run in ended]
    told = [[note for note in plan["notes"] if "Nobody asked for it" in note] for plan in plans]
    assert [len(notes) for notes in told] == [1, 0], told
    assert [plan["approve_above_usd"] for plan in plans] == [1e-9, None]
    assert "The DAG was switched on at" in told[0][0]
    why = [
        house.airflow.api.xcom(by_hand, run["dag_run_id"], f"{by_hand}.submit_batch", key="failure")["code"]
        for run in hand_ended[:2]
    ]
    assert why == ["unrequested_run", ""]


def ended_runs(house: House, dag_id: str) -> list[dict[str, Any]]:
    """Give the runs of a DAG that have ended, in the order of their slots."""
    runs = [run for run in house.airflow.api.runs(dag_id) if run["state"] in ("success", "failed")]
    return sorted(runs, key=lambda run: str(run["run_after"]))[:2]
