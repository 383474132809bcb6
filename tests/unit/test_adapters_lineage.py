"""What OpenLineage is told, through its provider's own extractor, adapter and transport to a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from openlineage.client import OpenLineageClient
from openlineage.client.transport.file import FileConfig, FileTransport
from upath import UPath

from message_batches.lineage import dataset_name
from message_batches.operators import PublishResultsOperator, WriteReportOperator
from nightpress.days.publish import DaySummary
from nightpress.layout import DataRoot
from tests.support.plans import make_plan
from tests.support.published_days import DAY, PIPELINE, answer, publish

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def emit(operator: Any, path: Path) -> dict[str, Any]:
    """Let the provider ask the operator, and send what it says to a file."""
    told = DefaultExtractor(operator).extract_on_complete(MagicMock())
    assert told is not None
    adapter = OpenLineageAdapter(
        OpenLineageClient(transport=FileTransport(FileConfig(str(path), append=True)))
    )
    adapter.complete_task(
        run_id="01941f29-7c00-7087-8940-40e513c257bd",
        job_name="summaries.publish",
        end_time="2026-11-23T03:00:00Z",
        task=told,
        nominal_start_time=None,
        nominal_end_time=None,
        owners=None,
        tags=None,
        job_description=None,
    )
    (line,) = path.read_text().splitlines()
    return dict(json.loads(line))


def summary(**given: Any) -> dict[str, Any]:
    values = {
        "uri": "u",
        "pipeline": PIPELINE,
        "day": DAY,
        "articles": 2,
        "succeeded": 1,
        "failed": {"refused": 1},
    }
    values |= {"rejected": 0, "rejected_uri": "r", "reused": 0, "batches": 1, "input_tokens": 200}
    values |= {
        "output_tokens": 20,
        "cost_usd": None,
        "list_cost_usd": 0.4,
        "saved_usd": None,
        "wasted_usd": None,
    }
    return asdict(DaySummary(**(values | {"offline": False} | given)))


def test_a_published_day_tells_source_answers_columns_and_cost(tmp_path: Path) -> None:
    root = DataRoot(UPath(tmp_path))
    publish(root.path, [answer(0, city="Ulm"), answer(1, city="Bonn", status="refused")])
    operator = PublishResultsOperator(task_id="publish", shards=[], results=[], pipeline=PIPELINE)
    plan = make_plan(source="s3://aws_default@mails/day=2026-11-22/*.jsonl", template="d" * 64)
    operator._told = summary(), root.answers(PIPELINE, DAY), plan
    event = emit(operator, tmp_path / "events.jsonl")
    (source,), (answers,) = event["inputs"], event["outputs"]
    assert (source["namespace"], source["name"]) == ("s3://mails", "day=2026-11-22/*.jsonl")
    assert (answers["namespace"], answers["name"]) == ("file", str(root.answers(PIPELINE, DAY)))
    assert answers["outputFacets"]["outputStatistics"]["rowCount"] == 2
    names = [field["name"] for field in answers["facets"]["schema"]["fields"]]
    assert {"article_id", "city", "text", "status", "cost_usd"} <= set(names)
    lineage = answers["facets"]["columnLineage"]["fields"]
    origin = {column: found["inputFields"][0]["field"] for column, found in lineage.items()}
    assert origin == {"article_id": "id", "title": "title", "city": "city", "text": "content"}
    kinds = {
        column: found["inputFields"][0]["transformations"][0]["subtype"] for column, found in lineage.items()
    }
    assert kinds["text"] == "TRANSFORMATION"
    assert kinds["city"] == "IDENTITY"
    cost = event["run"]["facets"]["nightpress"]
    assert (cost["model"], cost["articles"], cost["succeeded"]) == (plan.model, 2, 1)
    # A price that is not known is not a price of 0.
    assert cost.get("cost_usd") is None
    assert "Answer" not in json.dumps(event)


def test_a_report_tells_the_answers_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTPRESS_ROOT", str(tmp_path))
    operator = WriteReportOperator(task_id="write_report")
    assert DefaultExtractor(operator).extract_on_complete(MagicMock()) is None
    operator._told = DAY, [PIPELINE]
    event = emit(operator, tmp_path / "events.jsonl")
    assert [found["name"] for found in event["inputs"]] == [
        str(tmp_path / PIPELINE / f"day={DAY}" / "answers.parquet")
    ]
    assert [found["name"] for found in event["outputs"]] == [
        str(tmp_path / "reports" / f"day={DAY}" / "report.html")
    ]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://conn@bucket/a/b.parquet", ("s3://bucket", "a/b.parquet")),
        ("gs://bucket/a", ("gs://bucket", "a")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("file:///srv/a", ("file", "/srv/a")),
        ("/srv/a", ("file", "/srv/a")),
    ],
)
def test_names_of_datasets(uri: str, expected: tuple[str, str]) -> None:
    assert dataset_name(uri) == expected
