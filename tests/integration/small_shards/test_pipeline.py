"""Whole pipelines on a real Airflow, against the offline API: what users are promised, seen from outside."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.corpus import write_corpus
from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS, batches_ending
from tests.support.running_airflow import AirflowInstance
from tests.support.shared_airflow import SharedAirflow

pytestmark = pytest.mark.airflow

DAY = "2026-11-22"
MARKER = "MARKER-b81d55"


class PipelineRuns:
    """An offline API and an Airflow that uses it."""

    def __init__(self, server: LocalApiServer, airflow: AirflowInstance, folder: Path) -> None:
        self.server, self.airflow, self.folder = server, airflow, folder

    def write(self, name: str, rows: list[dict[str, Any]]) -> str:
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def articles(self, name: str, count: int) -> str:
        rows = [
            {"id": f"{name}-{n}", "title": f"t{n}", "content": f"{name} number {n} says so."}
            for n in range(count)
        ]
        return self.write(f"{name}.jsonl", rows)

    def published(self, pipeline: str, day: str = DAY) -> list[dict[str, Any]]:
        return pq.read_table(self.airflow.data / pipeline / f"day={day}" / "answers.parquet").to_pylist()

    def run(self, dag: str, source: str, day: str = DAY) -> str:
        run_id = self.airflow.trigger(dag, {"source": source, "day": day})
        with batches_ending(self.server):
            run = self.airflow.wait(run_id, 240)
        assert run["state"] == "success", self.airflow.states(run_id)
        return run_id


@pytest.fixture(scope="module")
def runs(shared: SharedAirflow, tmp_path_factory: pytest.TempPathFactory) -> PipelineRuns:
    return PipelineRuns(shared.server, shared.airflow, tmp_path_factory.mktemp("runs"))


def test_ten_waiting_batches_are_one_request_a_poll_and_a_killed_triggerer_is_no_matter(
    runs: PipelineRuns,
) -> None:
    source = runs.articles("ten", 30)
    run_id = runs.airflow.trigger("shards_of_3", {"source": source, "day": DAY})
    runs.airflow.wait_for_state(run_id, "shard.wait_for_batch", "deferred", count=10)
    time.sleep(5)
    before, started = runs.server.request_counts(), time.monotonic()
    time.sleep(12)
    after, seconds = runs.server.request_counts(), time.monotonic() - started
    looks = after["GET /v1/messages/batches"] - before["GET /v1/messages/batches"]
    assert 1 <= looks <= seconds / 2 + 1
    one = "GET /v1/messages/batches/{message_batch_id}"
    assert after.get(one, 0) == before.get(one, 0)

    runs.airflow.kill("triggerer")
    runs.airflow.start_component("triggerer")
    runs.server.advance_clock(BATCH_SECONDS)
    assert runs.airflow.wait(run_id, 180)["state"] == "success"
    tries = {
        ti["try_number"]
        for ti in runs.airflow.api.task_instances("shards_of_3", run_id)
        if ti["state"] == "success"
    }
    assert tries == {1}
    assert [row["article_id"] for row in runs.published("shards_of_3")] == [f"ten-{n}" for n in range(30)]


def test_a_cleared_submit_finds_its_batch_again(runs: PipelineRuns) -> None:
    source = runs.articles("clear", 5)
    run_id = runs.run("shards_of_3", source, "2026-11-21")
    accepted = runs.server.billing()["batches_accepted"]
    first = runs.airflow.xcom(run_id, "shard.submit_batch", 1)
    runs.airflow.api.clear("shards_of_3", run_id, [("shard.submit_batch", 1)])
    runs.airflow.wait_for_state(run_id, "shard.submit_batch", "success", count=2)
    assert runs.airflow.wait(run_id)["state"] == "success"
    assert runs.airflow.xcom(run_id, "shard.submit_batch", 1) == first
    assert runs.server.billing()["batches_accepted"] == accepted


def test_a_day_without_articles_is_published_empty(runs: PipelineRuns) -> None:
    run_id = runs.airflow.trigger("shards_of_3", {"day": "2026-11-01"})
    assert runs.airflow.wait(run_id)["state"] == "success"
    table = pq.read_table(runs.airflow.data / "shards_of_3" / "day=2026-11-01" / "answers.parquet")
    assert table.num_rows == 0
    assert {"article_id", "text", "cost_usd", "status"} <= set(table.column_names)
    assert runs.airflow.xcom(run_id, "publish")["articles"] == 0


def test_operators_can_be_used_alone(runs: PipelineRuns) -> None:
    source = runs.articles("alone", 2)
    run_id = runs.airflow.trigger("single_operators", {"source": source})
    with batches_ending(runs.server):
        assert runs.airflow.wait(run_id)["state"] == "success"
    assert runs.airflow.xcom(run_id, "wait", 0) == runs.airflow.xcom(run_id, "submit", 0)


def test_a_source_that_cannot_be_read_fails_once_and_says_why(runs: PipelineRuns) -> None:
    broken = runs.folder / "broken.json"
    broken.write_text('[{"id": 1, "content": "' + MARKER + '"}, {"id": 2')
    for source, said in (
        (str(broken), "the file is cut off"),
        (str(runs.folder / "nowhere.csv"), "there is nothing at"),
    ):
        run_id = runs.airflow.trigger("shards_of_3", {"source": source, "day": DAY})
        assert runs.airflow.wait(run_id)["state"] == "failed"
        (read,) = [
            ti
            for ti in runs.airflow.api.task_instances("shards_of_3", run_id)
            if ti["task_id"] == "read_articles"
        ]
        assert read["try_number"] == 1
        assert said in (runs.airflow.api.last_error("shards_of_3", run_id, "read_articles") or "")


@pytest.fixture(scope="module")
def real_texts(runs: PipelineRuns) -> tuple[list[dict[str, Any]], str]:
    """Thousands of real texts, each beginning with its own number."""
    path = runs.folder / "corpus.jsonl"
    write_corpus(path, 5200, 1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["content"] = f"{MARKER} #{number}# {{{{ ds }}}} {{% raw %}} {row['content']}"
    rows += [{"id": "", "content": MARKER}, {"id": "blank", "content": " \n "}, dict(rows[7])]
    return rows, runs.write("real.jsonl", rows)


def test_thousands_of_real_texts_each_get_their_own_answer(
    runs: PipelineRuns, real_texts: tuple[list[dict[str, Any]], str]
) -> None:
    sources, path = real_texts
    run_id = runs.run("shards_of_1000", path)
    rows = runs.published("shards_of_1000")
    assert [row["article_id"] for row in rows] == [row["id"] for row in sources[:-3]]
    assert len({row["batch_id"] for row in rows}) >= 6
    for number, (source, row) in enumerate(zip(sources, rows, strict=False)):
        assert row["status"] == "succeeded"
        assert row["text"].startswith(f"{MARKER} #{number}# ")
        assert source["content"].replace("\x00", "\ufffd").startswith(row["text"])
        assert row["package"] == source["package"]
    summary = runs.airflow.xcom(run_id, "publish")
    assert (summary["articles"], summary["rejected"]) == (len(rows), 3)
    receipt = json.loads(Path(summary["receipt_uri"].removeprefix("file://")).read_text())
    meter = runs.server.billing()["by_batch"]
    for batch in receipt["batches"]:
        billed = meter[batch["batch_id"]]
        assert (batch["input_tokens"], batch["output_tokens"]) == (
            billed["input_tokens"],
            billed["output_tokens"],
        )
    assert summary["cost_usd"] == pytest.approx(receipt["paid_usd"])


def test_templates_in_an_article_reach_the_api_as_they_are(
    runs: PipelineRuns, real_texts: tuple[list[dict[str, Any]], str]
) -> None:
    sources, _ = real_texts
    rows = runs.published("shards_of_1000")
    batch_id = rows[0]["batch_id"]
    body = runs.server.get(f"/local/batches/{batch_id}/requests")
    prompts = {
        request["custom_id"]: request["params"]["messages"][0]["content"] for request in body["requests"]
    }
    for source, row in zip(sources, rows, strict=False):
        if row["batch_id"] == batch_id:
            assert source["content"].replace("\x00", "\ufffd")[:2000] in prompts[row["custom_id"]]


def test_neither_text_nor_key_is_anywhere_in_airflow(
    runs: PipelineRuns, real_texts: object, key: str
) -> None:
    del real_texts
    found: Counter[str] = Counter()
    with sqlite3.connect(f"file:{runs.airflow.database_path}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "xcom" in tables
        rows = 0
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                rows += 1
                text = repr(row)
                found.update(f"{table}: {mark}" for mark in (MARKER, key) if mark in text)
    database.close()
    assert rows > 500
    logs = [path for path in runs.airflow.logs_dir.rglob("*") if path.is_file()]
    assert len(logs) > 20
    for path in logs:
        text = path.read_text(errors="replace")
        found.update(f"{path.name}: {mark}" for mark in (MARKER, key) if mark in text)
    assert found == {}
    assert MARKER in (runs.folder / "real.jsonl").read_text()
