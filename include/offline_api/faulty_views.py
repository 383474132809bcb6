"""Batches and lists as gateways and later versions of the API show them, for fault rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from offline_api.faults import Faults, Rule

Batch = dict[str, Any]


def _other_name(batch_id: str, base_url: str) -> str:
    """Return the same address under another name of this machine."""
    place = urlsplit(base_url)
    host = "localhost" if place.hostname != "localhost" else "127.0.0.1"
    return f"{place.scheme}://{host}:{place.port}{_path(batch_id)}"


def _path(batch_id: str) -> str:
    return f"/v1/messages/batches/{batch_id}/results"


RESULTS_URLS: dict[str, Callable[[str, str], str | None]] = {
    "vendor": lambda batch_id, _base_url: f"https://api.anthropic.com{_path(batch_id)}",
    "relative": lambda batch_id, _base_url: _path(batch_id),
    "http": lambda batch_id, _base_url: f"http://api.anthropic.com{_path(batch_id)}",
    "other_name": _other_name,
    "other_port": lambda batch_id, base_url: f"{base_url.rpartition(':')[0]}:9{_path(batch_id)}",
    "foreign": lambda batch_id, _base_url: f"https://gateway.invalid{_path(batch_id)}",
    "user_info": lambda batch_id, base_url: (
        f"http://{urlsplit(base_url).netloc}@gateway.invalid{_path(batch_id)}"
    ),
    "prefixed": lambda batch_id, base_url: f"{base_url}/proxy{_path(batch_id)}",
    "none": lambda _batch_id, _base_url: None,
}
"""Forms of ``results_url`` behind gateways; each is given the batch's id and this server's URL."""

_BAD_TIMES = {
    "created_at": "yesterday",
    "expires_at": "2026-13-45T99:99:99Z",
    "ended_at": 0,
}
ODD_BATCHES: dict[str, Callable[[Batch], Any]] = {
    "unknown_status": lambda batch: {**batch, "processing_status": "paused"},
    "null_fields": lambda batch: {name: None for name in batch} | {"id": batch["id"]},
    "null_counts": lambda batch: {**batch, "request_counts": None},
    "missing_fields": lambda batch: {"id": batch["id"], "type": "message_batch"},
    "missing_id": lambda batch: {name: value for name, value in batch.items() if name != "id"},
    "unknown_fields": lambda batch: {**batch, "priority": {"level": "low"}, "metadata": {"team": "a"}},
    "bad_times": lambda batch: {**batch, **_BAD_TIMES},
    "huge_counts": lambda batch: {**batch, "request_counts": dict.fromkeys(batch["request_counts"], 2**70)},
    "negative_counts": lambda batch: {**batch, "request_counts": dict.fromkeys(batch["request_counts"], -1)},
    "text_counts": lambda batch: {**batch, "request_counts": {"processing": "many"}},
    "odd_id": lambda batch: {**batch, "id": "../../odd\u001b[31m"},
    "not_an_object": lambda _batch: "batch",
}
"""Ways in which a listed or retrieved batch can be odd."""


def apply_batch_faults(faults: Faults, endpoint: str, batch: Batch, base_url: str) -> Any:
    """Return a batch, changed by the rules of an endpoint."""
    batch = _with_results_url(faults.take(endpoint, ["results_url"]), batch, base_url)
    rule = faults.take(endpoint, ["odd_batch"])
    return batch if rule is None else ODD_BATCHES[rule.odd](batch)


def _with_results_url(rule: Rule | None, batch: Batch, base_url: str) -> Batch:
    if rule is None or batch["results_url"] is None:
        return batch
    return {**batch, "results_url": RESULTS_URLS[rule.form](batch["id"], base_url)}


def apply_list_faults(faults: Faults, page: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return a page of the list, changed by the rules."""
    batches: list[Any] = page["data"]
    if rule := faults.take("list", ["results_url"]):
        batches = [_with_results_url(rule, batch, base_url) for batch in batches]
    if (rule := faults.take("list", ["odd_batch"])) and batches:
        place = min(rule.place, len(batches) - 1)
        batches = [*batches[:place], ODD_BATCHES[rule.odd](batches[place]), *batches[place + 1 :]]
    page = {**page, "data": batches}
    if faults.take("list", ["repeated_cursor"]):
        page["has_more"] = True
    if faults.take("list", ["empty_list"]):
        page = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    if faults.take("list", ["no_cursors"]):
        page = {"data": batches}
    return page
