"""A small client of Airflow's REST API, for an Airflow on this machine.

Plain `http.client`: it uses no proxies, and the launcher starts without waiting for heavier libraries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]
_PAGE = 500


class AirflowApiError(Exception):
    """Airflow rejected a request, or could not be reached.

    :param status: of the response; None without a response; a retry may then help.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """What the launcher and the tests ask of a running Airflow.

    :param url: e.g. ``http://127.0.0.1:8080``.
    :param timeout_seconds: for one request.
    :param login: returns user and password; None for an Airflow without a login.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = 30.0, login: Callable[[], tuple[str, str]] | None = None
    ) -> None:
        self.url = url
        self._login = login
        self._address = urlsplit(url)
        self._timeout = timeout_seconds
        self._token: str | None = None

    def health(self) -> Json:
        """Give the state of each component: ``{"scheduler": {"status": "healthy", …}, …}``."""
        return self._dict("GET", "/api/v2/monitor/health", with_token=False)

    def warm_up(self) -> None:
        """Make the task API initialise now, so that the first task does not wait for it."""
        self._send("GET", "/execution/health", None, None)

    def dag(self, dag_id: str) -> Json:
        """Give one DAG as Airflow has it in its database."""
        return self._dict("GET", f"/api/v2/dags/{quote(dag_id)}")

    def import_errors(self) -> list[Json]:
        """List the DAG files that could not be loaded, with their stack traces."""
        return list(self._dict("GET", "/api/v2/importErrors")["import_errors"])

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or let its runs continue."""
        self.call("PATCH", f"/api/v2/dags/{quote(dag_id)}", {"is_paused": paused})

    def trigger(
        self,
        dag_id: str,
        *,
        conf: Mapping[str, Any] | None = None,
        partition_key: str | None = None,
        run_id: str | None = None,
    ) -> str:
        """Create a run by hand and give its id. It stays queued while the DAG is paused."""
        body: Json = {"logical_date": None, "conf": dict(conf or {})}
        if partition_key is not None:
            body["partition_key"] = partition_key
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self._dict("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[Json]:
        """List all runs of a DAG."""
        return list(self._pages(f"/api/v2/dags/{quote(dag_id)}/dagRuns", "dag_runs", "id"))

    def run(self, dag_id: str, run_id: str) -> Json:
        """Give one run."""
        return self._dict("GET", _run_path(dag_id, run_id))

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run ``success`` or ``failed``, or queue it again."""
        self.call("PATCH", _run_path(dag_id, run_id), {"state": state})

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """List the task instances of a run, one for each map index."""
        return list(self._pages(_run_path(dag_id, run_id) + "/taskInstances", "task_instances", "map_index"))

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, key: str = "return_value"
    ) -> Any:
        """Give an XCom's value.

        :raises AirflowApiError: with status 404 when there is none.
        """
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{quote(key)}"
        return self._dict("GET", path, query={"map_index": map_index})["value"]

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: Sequence[str | tuple[str, int]],
        *,
        downstream: bool = False,
    ) -> list[Json]:
        """Clear task instances, whatever their state, so that they run again.

        :param task_ids: ids (all map indexes) or pairs of id and map index.
        """
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "include_downstream": downstream,
        }
        answer = self._dict("POST", f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances", body)
        return list(answer["task_instances"])

    def log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> list[Json]:
        """Give a try's log as structured lines: ``event``, ``level``, ``error_detail``, …"""
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self._dict("GET", path, query={"map_index": map_index, "full_content": "true"})["content"]
        return [line if isinstance(line, dict) else {"event": str(line)} for line in content]

    def last_error(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> str | None:
        """Give the last error of a try's log in one line, or None when it has none."""
        lines = self.log(dag_id, run_id, task_id, try_number=try_number, map_index=map_index)
        return next((text for line in reversed(lines) if (text := error_text(line))), None)

    def call(self, method: str, path: str, body: Json | None = None, query: Json | None = None) -> Any:
        """Send one authorised request and give the decoded answer.

        :raises AirflowApiError: no answer, or one that is not 2xx.
        """
        if self._token is None:
            self._token = self._log_in()
        try:
            return self._send(method, path, body, query, self._token)
        except AirflowApiError as error:
            if error.status == 401:
                self._token = None
            raise

    def _log_in(self) -> str:
        if self._login is None:
            answer = self._dict("GET", "/auth/token", with_token=False)
        else:
            user, password = self._login()
            answer = self._dict(
                "POST", "/auth/token", {"username": user, "password": password}, with_token=False
            )
        return str(answer["access_token"])

    def _dict(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Json | None = None,
        with_token: bool = True,
    ) -> Json:
        send = self.call if with_token else self._send
        answer = send(method, path, body, query)
        if not isinstance(answer, dict):
            raise AirflowApiError(f"{method} {path}: expected a JSON object, got {type(answer).__name__}")
        return answer

    def _pages(self, path: str, name: str, order: str) -> Iterator[Json]:
        offset = 0
        while True:
            page = self._dict("GET", path, query={"limit": _PAGE, "offset": offset, "order_by": order})
            rows, total = page[name], page.get("total_entries") or 0
            yield from rows
            offset += len(rows)
            if offset >= total or not rows:
                return

    def _send(
        self, method: str, path: str, body: Json | None, query: Json | None, token: str | None = None
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        target = path + (f"?{urlencode(query)}" if query else "")
        connection = HTTPConnection(self._address.hostname or "", self._address.port, timeout=self._timeout)
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            raise AirflowApiError(f"{method} {self.url}{path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            detail = content.decode(errors="replace")[:1000]
            raise AirflowApiError(f"{method} {path}: HTTP {response.status}: {detail}", response.status)
        return json.loads(content) if content else None


def error_text(line: Json) -> str | None:
    """Give a log line's error in one line: the exception when it carries one, else its text."""
    details = line.get("error_detail") or []
    if details:
        last = details[0]
        return f"{last.get('exc_type')}: {' '.join(str(last.get('exc_value', '')).split())}"
    if str(line.get("level", "")).lower() in ("error", "critical"):
        return " ".join(str(line.get("event", "")).split())
    return None


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
