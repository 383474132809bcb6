"""The sample through Airflow with every model of the catalogue, on the offline API: ``make models``.

Each model gets a run of ``article_summaries`` for a day of its own: all articles must be answered, the receipt must
equal the offline API's meter, and the plan must not be below it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nightpress.models.lookup import offered_ids
from tests.support.offline_api_server import LocalApiServer
from tests.support.offline_clock import BATCH_SECONDS, batches_ending
from tests.support.running_airflow import PROJECT, AirflowInstance

DAG = "article_summaries"
FIRST_DAY = date(2026, 3, 1)
MAX_TOKENS = 120
"""The value that ``make run`` uses for the sample."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """The result of a run with a model.

    :param planned_usd: the plan's upper bound; ``room_usd`` is the part of it reserved for thinking.
    :param expected_usd: the plan's expected cost.
    :param paid_usd: the receipt's cost.
    :param billed_usd: the cost by the offline API's meter.
    """

    model: str
    articles: int
    answered: int
    tokens: int
    thinking_tokens: int
    planned_usd: float
    expected_usd: float
    room_usd: float
    paid_usd: float
    billed_usd: float

    @property
    def problems(self) -> list[str]:
        """What is wrong; empty if nothing is."""
        found = []
        if not self.answered == self.articles > 0:
            found.append(f"{self.model}: {self.answered} of {self.articles} answered")
        if abs(self.paid_usd - self.billed_usd) > 1e-9:
            found.append(f"{self.model}: the receipt says ${self.paid_usd}, the meter ${self.billed_usd}")
        if not 0 < self.billed_usd <= self.planned_usd:
            found.append(f"{self.model}: billed ${self.billed_usd}, planned ${self.planned_usd} at most")
        return found


def run_models(
    airflow: AirflowInstance, server: LocalApiServer, models: Sequence[str], **conf: Any
) -> list[ModelRun]:
    """Run the sample with each model, and return the result of each run.

    :param conf: other fields of the form.
    """
    source = {"source": str(PROJECT / "include" / "sample"), "max_tokens": MAX_TOKENS, **conf}
    days = {model: (FIRST_DAY + timedelta(days=n)).isoformat() for n, model in enumerate(models)}
    runs = {
        model: airflow.trigger(DAG, {**source, "day": day, "model": model}) for model, day in days.items()
    }
    for run_id in runs.values():
        state = airflow.wait(run_id, 600)["state"]
        assert state == "success", airflow.states(run_id)
    return [_read(airflow, server, model, days[model]) for model in models]


def _read(airflow: AirflowInstance, server: LocalApiServer, model: str, day: str) -> ModelRun:
    rows = pq.read_table(airflow.data / DAG / f"day={day}" / "answers.parquet").to_pylist()
    (plan_path,) = (airflow.data / "runs" / DAG / day).glob("*/plan.json")
    plan = json.loads(plan_path.read_text())
    receipt = json.loads((airflow.data / "receipts" / DAG / f"day={day}.json").read_text())
    meter = server.billing()["by_batch"]
    assert {row["model"] for row in rows} == {model}
    return ModelRun(
        model=model,
        articles=len(rows),
        answered=sum(row["status"] == "succeeded" and bool(row["text"]) for row in rows),
        tokens=sum(batch["input_tokens"] + batch["output_tokens"] for batch in receipt["batches"]),
        thinking_tokens=sum(batch["thinking_tokens"] for batch in receipt["batches"]),
        planned_usd=plan["cost_upper_usd"],
        expected_usd=plan["cost_expected_usd"],
        room_usd=plan["room_upper_usd"],
        paid_usd=receipt["paid_usd"],
        billed_usd=sum(float(meter[batch["batch_id"]]["bill"]["cost_usd"]) for batch in receipt["batches"]),
    )


def _room(run: ModelRun) -> str:
    return f"${run.room_usd:.4f}" if run.room_usd else "–"


def _without_room(run: ModelRun) -> str:
    return f", {(run.planned_usd - run.room_usd) / run.billed_usd:.1f}" if run.room_usd else ""


def table(runs: Sequence[ModelRun]) -> str:
    """Return the runs as a Markdown table."""
    lines = [
        "| model | answered | tokens | of them thinking | expected | at most | of that room for thinking | billed "
        "| at most ÷ billed, without the room |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {run.model} | {run.answered} of {run.articles} | {run.tokens:,} | {run.thinking_tokens:,} "
        f"| ${run.expected_usd:.4f} | ${run.planned_usd:.4f} | {_room(run)} | ${run.billed_usd:.4f} "
        f"| {run.planned_usd / run.billed_usd:.1f}{_without_room(run)} |"
        for run in runs
    ]
    return "\n".join(lines)


def main() -> int:
    """Run all models, print the table and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="nightpress-models-") as name:
        folder = Path(name)
        with (
            LocalApiServer(folder / "api", seconds_per_batch=BATCH_SECONDS) as server,
            AirflowInstance(folder, base_url=server.base_url) as airflow,
        ):
            airflow.instance.wait_for_dag(DAG)
            with batches_ending(server):
                runs = run_models(airflow, server, offered_ids())
    problems = [problem for run in runs for problem in run.problems]
    sys.stdout.write("\n".join([table(runs), *problems, ""]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
