"""The example DAGs on a real Airflow and the offline API: chained by their assets, typed columns to query."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.support.every_model import run_models
from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import batches_ending
from tests.support.running_airflow import PROJECT, AirflowInstance
from tests.support.shared_airflow import SharedAirflow

pytestmark = pytest.mark.airflow

DAY = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
"""The day that the first of the examples publishes, and the others then read."""

SAMPLE = PROJECT / "include" / "sample"
BY_HAND = {"product_descriptions": {}, "moderate": {}, "question_pairs": {"limit": 20}}
BY_THE_DAY = ("article_summaries", "translate", "digest_of_the_day")
CHAINED = BY_THE_DAY[1:]
COMPARED = "compare_prompts"
HAND_MADE = "hand_made_requests"
VARIANTS = ("plain", "guided", "larger_model")
ENUM = "dictionary<values=string, indices=int32, ordered=0>"
FAULTY = "moderate"
FAULT = {"endpoint": "create", "kind": "misfits", "misfit": "missing_field", "share": 0.3, "count": 1}


@pytest.fixture(scope="module")
def server(shared: SharedAirflow) -> LocalApiServer:
    """Return the offline API, whose batches end when the tests say so."""
    return shared.server


@pytest.fixture(scope="module")
def airflow(shared: SharedAirflow) -> Iterator[AirflowInstance]:
    """Return an Airflow in which every example has published the day."""
    airflow, server = shared.airflow, shared.server
    server.faults(FAULT)
    inbox = airflow.data / "inbox" / f"day={DAY}"
    shutil.copytree(SAMPLE, inbox, ignore=shutil.ignore_patterns("*.md"))
    for dag in BY_THE_DAY:
        airflow.instance.wait_for_dag(dag)
    by_hand = BY_HAND | {COMPARED: {"limit": 12}}
    runs = {dag: airflow.trigger(dag, {"day": DAY, **conf}, unpause=False) for dag, conf in by_hand.items()}
    runs[HAND_MADE] = airflow.trigger(HAND_MADE, unpause=False)
    # Not by its schedule: an earlier module may have switched it on, and that slot is gone.
    runs[BY_THE_DAY[0]] = airflow.trigger(BY_THE_DAY[0], partition_key=DAY, unpause=False)
    airflow.api.set_paused(FAULTY, False)
    # Its batch is the first, so that the fault is its own.
    airflow.wait_for_state(runs[FAULTY], "shard.wait_for_batch", "deferred")
    airflow.api.call("PATCH", "/api/v2/dags", {"is_paused": False}, {"dag_id_pattern": "~"})
    with batches_ending(server):
        for run_id in runs.values():
            assert airflow.wait(run_id, 240)["state"] == "success", airflow.states(run_id)
        for dag in CHAINED:
            wait_for_the_day(airflow, dag)
        yield airflow


def wait_for_the_day(airflow: AirflowInstance, dag: str) -> None:
    deadline = time.monotonic() + 180
    while not (runs := runs_of_the_day(airflow, dag)) or runs[0]["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, (dag, runs)
        time.sleep(0.5)
    assert [run["state"] for run in runs] == ["success"]


def runs_of_the_day(airflow: AirflowInstance, dag: str) -> list[dict[str, Any]]:
    return [run for run in airflow.api.runs(dag) if run["partition_key"] == DAY]


def published(airflow: AirflowInstance, pipeline: str) -> Path:
    return airflow.data / pipeline / f"day={DAY}" / "answers.parquet"


def test_every_example_publishes_typed_columns(airflow: AirflowInstance) -> None:
    types = {}
    for pipeline in sorted((*BY_HAND, *CHAINED, f"{COMPARED}_plain")):
        path = published(airflow, pipeline)
        schema = pq.read_schema(path)
        names = schema.names
        typed = [field for field in schema if (field.metadata or {}).get(b"origin") == b"output"]

        types[pipeline] = {field.name: str(field.type) for field in typed}
        assert [field.name for field in typed] == names[
            names.index("custom_id") - len(typed) : names.index("custom_id")
        ]
        frame = pd.read_parquet(path)
        assert set(frame["status"]) == {"succeeded"}
        assert frame[names[names.index("custom_id") - 1]].notna().any()
    told = "".join(
        f"{pipeline}\n" + "".join(f"    {name}: {kind}\n" for name, kind in columns.items())
        for pipeline, columns in types.items()
    )
    assert told.replace(ENUM, "enum") in (PROJECT / "docs" / "pipelines.md").read_text()
    assert types["moderate"]["severity"] == "int64"
    assert types["moderate"]["topic"] == ENUM
    assert types["product_descriptions"]["price_eur"] == "decimal128(9, 2)"
    assert types["product_descriptions"]["bullets"] == "list<element: string>"
    assert types["digest_of_the_day"]["themes"].startswith(
        "list<element: struct<name: string, articles: int64"
    )


def test_hand_made_requests_are_answered_in_one_batch_and_counted(airflow: AirflowInstance) -> None:
    (run,) = airflow.api.runs(HAND_MADE)
    written = airflow.api.xcom(HAND_MADE, run["dag_run_id"], f"{HAND_MADE}.write_results")
    rows = pd.read_parquet(airflow.data / written["uri"])
    assert sorted(rows["article_id"]) == [
        f"slogan-{name}" for name in ("chinese", "french", "german", "spanish")
    ]
    assert airflow.api.xcom(HAND_MADE, run["dag_run_id"], "count_answers") == 4
    plan = airflow.api.xcom(HAND_MADE, run["dag_run_id"], f"{HAND_MADE}.submit_batch", key="plan")
    assert plan["models"] == {"claude-haiku-4-5": 4}
    assert 0 < rows["cost_usd"].sum() <= plan["cost_upper_usd"] <= 0.10


def test_what_did_not_fit_was_asked_once_more(airflow: AirflowInstance) -> None:
    receipt = json.loads((airflow.data / "receipts" / FAULTY / f"day={DAY}.json").read_text())
    first, again = receipt["batches"]
    assert first["by_status"]["invalid_output"] == again["requests"]
    assert again["by_status"] == {"succeeded": again["requests"]}
    shown = airflow.api.call("GET", "/nightpress/batches.json", query={"pipeline": FAULTY})
    (run,) = shown["runs"]
    counts = (run["status"], run["requests"], run["succeeded"], run["failed"], run["answered_again"])
    assert counts == ("published", first["requests"], first["requests"], 0, again["requests"])
    ((kind, number, advice),) = ((f["kind"], f["requests"], f["advice"]) for f in run["failures"])
    assert (kind, number) == ("missing_field", again["requests"])
    assert "with what was wrong" in advice
    shown = airflow.api.call(
        "GET", "/nightpress/batches.json", query={"pipeline": FAULTY, "opened": run["token"]}
    )
    rows = {row["round"]: row["by_status"] for row in shown["runs"][0]["rows"]["items"]}
    assert rows == {1: first["by_status"], 2: again["by_status"]}


def test_the_columns_answer_questions(airflow: AirflowInstance) -> None:
    posts = pd.read_parquet(published(airflow, "moderate"))
    queue = posts[posts["action"] != "publish"].sort_values("severity", ascending=False)
    assert set(queue["action"].astype(str)) <= {"review", "reject"}
    assert posts.groupby("topic", observed=True)["confidence"].mean().between(0, 1).all()
    products = ds.dataset(published(airflow, "product_descriptions"))
    cheap = products.to_table(
        ["article_id", "brand", "price_eur"], filter=ds.field("price_eur") >= Decimal(0)
    )
    assert all(isinstance(row["price_eur"], Decimal) and row["brand"] for row in cheap.to_pylist())
    pairs = pd.read_parquet(published(airflow, "question_pairs"), columns=["article_id", "pairs"])
    flat = pd.json_normalize(pairs.explode("pairs")["pairs"].tolist())
    assert set(flat["difficulty"]) <= {"easy", "medium", "hard"}


def test_chained_pipelines_read_what_was_published(airflow: AirflowInstance) -> None:
    summaries = pd.read_parquet(published(airflow, "article_summaries")).set_index("article_id")
    translated = pd.read_parquet(published(airflow, "translate")).set_index("article_id")
    assert list(translated.index) == list(summaries.index)
    assert list(translated["category"]) == list(summaries["category"])
    (digest,) = pq.read_table(published(airflow, "digest_of_the_day")).to_pylist()
    assert (digest["article_id"], digest["articles"]) == (DAY, len(summaries))


def test_variants_are_side_by_side(airflow: AirflowInstance) -> None:
    path = airflow.data / "comparisons" / COMPARED / f"day={DAY}" / "comparison.parquet"
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 12
    assert {row[variant]["status"] for row in rows for variant in VARIANTS} == {"succeeded"}
    assert {variant: rows[0][variant]["model"] for variant in VARIANTS} == {
        "plain": "claude-haiku-5-5",
        "guided": "claude-haiku-5-5",
        "larger_model": "claude-sonnet-5-5",
    }
    assert all(row["plain"]["tone"] in {"calm", "mixed", "tense"} for row in rows)
    assert 0 < sum(row["plain"]["tone"] == row["guided"]["tone"] for row in rows) < 12
    page = path.parents[3] / "reports" / f"day={DAY}" / f"comparison-{COMPARED}.html"
    assert all(told in page.read_text() for told in ("Offline.", "Cost of 1,000 articles", "guided"))


def test_the_cached_prompt_is_in_plan_receipt_and_report(airflow: AirflowInstance) -> None:
    guided = f"{COMPARED}_guided"
    (plan,) = (airflow.data / "runs" / guided / DAY).glob("*/plan.json")
    told = json.loads(plan.read_text())
    assert any("Prompt caching: the shared part is about" in note for note in told["notes"])
    receipt = json.loads((airflow.data / "receipts" / guided / f"day={DAY}.json").read_text())
    (batch,) = receipt["batches"]
    assert batch["cache_read_input_tokens"] > batch["cache_creation_input_tokens"] > 500
    each = (batch["cache_read_input_tokens"] + batch["cache_creation_input_tokens"]) / batch["requests"]
    # The bound also covers the schema and what the API adds, which stand before the system prompt.
    assert 512 <= each <= told["cached_tokens"] <= 2.5 * each
    assert receipt["cache_saved_usd"] > 0
    others = [
        airflow.data / "receipts" / f"{COMPARED}_{name}" / f"day={DAY}.json"
        for name in ("plain", "larger_model")
    ]
    assert [json.loads(path.read_text())["cache_saved_usd"] for path in others] == [0, 0]
    page = (airflow.data / "reports" / f"day={DAY}" / f"comparison-{COMPARED}.html").read_text()
    assert "saved by the prompt cache" in page


def test_training_data_is_clean(airflow: AirflowInstance) -> None:
    path = published(airflow, "question_pairs").parent / "training.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    questions = [line["messages"][0]["content"].casefold() for line in lines]
    assert 0 < len(questions) == len(set(questions))
    assert all([turn["role"] for turn in line["messages"]] == ["user", "assistant"] for line in lines)
    assert all(len(line["messages"][1]["content"]) >= 20 for line in lines)


def test_the_report_covers_them_all_and_opens_with_the_digest(airflow: AirflowInstance) -> None:
    (digest,) = pq.read_table(published(airflow, "digest_of_the_day")).to_pylist()
    page, markdown = (
        airflow.data / "reports" / f"day={DAY}" / name for name in ("report.html", "report-full.md")
    )
    parts = [f'id="{name}"' for name in (*BY_HAND, *CHAINED, f"{COMPARED}_guided")]
    parts += [f"comparison-{COMPARED}.html", "and by the prompt cache"]
    deadline = time.monotonic() + 60
    # One after the other, and once more by the report of each pipeline that publishes later.
    while not (markdown.exists() and page.exists() and "did not publish" not in markdown.read_text()) or any(
        part not in page.read_text() for part in parts
    ):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    # The offline API's headline is a piece of an article, which may be a Markdown heading: escaped in report-full.md.
    headline = digest["headline"].lstrip("# ")[:8]
    for path in (page, markdown):
        # Before the page's body stand the names of the DAGs whose answers it shows.
        text = path.read_text().partition("<body")[2] or path.read_text()
        assert headline in text
        assert text.index(headline) < text.replace("\\", " ").index("summaries")
        assert "did not publish" not in text
    assert "<dt>severity</dt>" in page.read_text()
    assert "&quot;severity&quot;" not in page.read_text()


def test_neither_an_article_nor_an_answer_is_in_airflow(airflow: AirflowInstance) -> None:
    # Of a post; of the offline API's answers, which repeat the article.
    marks = ("12 Mill Lane", "Blatt & Bogen", "numbered; two ribbons")
    database = airflow.database_path.read_bytes()
    logs = [path for path in airflow.logs_dir.rglob("*") if path.is_file()]
    assert len(logs) > 50
    for mark in marks:
        assert mark.encode() not in database
        assert [path.name for path in logs if mark in path.read_text(errors="replace")] == []


def test_a_model_that_thinks_by_default_and_one_that_always_does(
    airflow: AirflowInstance, server: LocalApiServer
) -> None:
    """A sample of ``make models``, which does this with every model of the catalogue."""
    switched_off, always = run_models(airflow, server, ["claude-haiku-5-5", "claude-opus-5-5"], limit=8)
    assert [*switched_off.problems, *always.problems] == []
    assert (switched_off.thinking_tokens, switched_off.room_usd) == (0, 0)
    assert always.thinking_tokens > 0
    assert 0 < always.room_usd < always.planned_usd
