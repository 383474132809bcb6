"""A run as the REST API shows it, cached between polls so that nothing is requested twice."""

from __future__ import annotations

from typing import Any

from launch.airflow_api import AirflowApi, AirflowApiError, Json
from launch.progress import STEPS, ShardProgress, match_articles, read_shards

_ENDED_BADLY = ("failed", "up_for_retry")


class LiveRun:
    """State, shards and failures of one run.

    :param api: the Airflow it runs in.
    """

    def __init__(self, api: AirflowApi, dag_id: str, run_id: str) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.state = "queued"
        self.shards: list[ShardProgress] = []
        self.instances: list[Json] = []
        self._api = api
        self._values: dict[tuple[str, int], Any] = {}
        self._reported: set[tuple[str, int, int]] = set()
        self._news: list[str] = []

    def refresh(self) -> None:
        """Read the state once.

        :raises AirflowApiError: Airflow did not answer; the view stays as it was.
        """
        state = str(self._api.run(self.dag_id, self.run_id)["state"])
        self.instances = self._api.task_instances(self.dag_id, self.run_id)
        done = [instance for instance in self.instances if instance["state"] == "success"]
        lists = sorted((i for i in done if "." not in i["task_id"]), key=lambda i: str(i["end_date"]))
        sources = [(i["task_id"], self._value(i)) for i in lists]
        submitted = [i for i in done if i["task_id"].endswith(f".{STEPS[0]}") and i["map_index"] >= 0]
        batch_ids = {(i["task_id"].rpartition(".")[0], i["map_index"]): self._batch_id(i) for i in submitted}
        self.shards = read_shards(
            self.instances, articles=match_articles(self.instances, sources), batch_ids=batch_ids
        )
        self._collect_news()
        self.state = state

    def _batch_id(self, instance: Json) -> str:
        value = self._value(instance)
        if isinstance(value, dict):
            value = value.get("batch_id") or value.get("id")
        return str(value or "")

    def _value(self, instance: Json) -> Any:
        key = (str(instance["task_id"]), int(instance["map_index"]))
        if key not in self._values:
            try:
                self._values[key] = self._api.xcom(self.dag_id, self.run_id, key[0], map_index=key[1])
            except AirflowApiError as error:
                if error.status != 404:
                    raise
                self._values[key] = None
        return self._values[key]

    def news(self) -> list[str]:
        """Return the lines about tries that failed since the last call."""
        lines, self._news = self._news, []
        return lines

    def _collect_news(self) -> None:
        for instance in self.instances:
            attempt = (instance["task_id"], instance["map_index"], instance["try_number"])
            if instance["state"] in _ENDED_BADLY and attempt not in self._reported:
                self._reported.add(attempt)
                word = "will be tried again" if instance["state"] == "up_for_retry" else "failed"
                self._news.append(f"{self._told_error(instance)} ({word})")

    def _told_error(self, instance: Json) -> str:
        index = instance["map_index"]
        name = instance["task_id"] + (f"[{index}]" if index >= 0 else "")
        try:
            text = self._api.last_error(
                self.dag_id,
                self.run_id,
                instance["task_id"],
                try_number=instance["try_number"],
                map_index=index,
            )
        except AirflowApiError:
            text = None
        return f"{name}: {text or 'no error in its log'}"

    def failures(self) -> list[str]:
        """List each failed task with the last error of its log."""
        return [self._told_error(instance) for instance in self.instances if instance["state"] == "failed"]

    def published(self) -> Any:
        """Give the return value of the ``publish`` task; None unless it succeeded."""
        for instance in self.instances:
            if instance["task_id"] == "publish" and instance["state"] == "success":
                return self._value(instance)
        return None
