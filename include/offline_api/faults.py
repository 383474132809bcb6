"""Faults that can be switched on. The server asks at named points; no rule means no fault.

Rules are kept in memory: they end with the server, or with ``DELETE /local/faults``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from offline_api.api_errors import ApiError
from offline_api.misfits import MISFITS
from offline_api.outcomes import FORCED_ERRORS

Endpoint = Literal["create", "retrieve", "list", "results", "cancel"]

BEFORE = ("status", "drop", "not_found")
"""Kinds that act before the request has any effect."""
AFTER = ("accept_then_drop", "error_after_accept")
"""Kinds that act when the request has had its effect, in place of the answer."""
CUTS = ("cut_mid_line", "cut_at_line", "cut_compressed")
LINES = ("missing_ids", "repeated_ids", "foreign_ids", "malformed_lines", "blank_lines")
_ANYWHERE = (*BEFORE, *AFTER, "hang")
KINDS: dict[str, tuple[str, ...]] = {
    "create": (*_ANYWHERE, "rows", "misfits", "late_listing"),
    "retrieve": _ANYWHERE,
    "list": _ANYWHERE,
    "results": (*_ANYWHERE, *CUTS, *LINES),
    "cancel": (*_ANYWHERE, "slow_cancel"),
}


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault.

    :param endpoint: where it acts.
    :param kind: what happens; see ``KINDS``.
    :param count: how often it acts; None is without end.
    :param probability: of acting when it could, drawn from ``seed``; None is always.
    :param skip: how many requests pass before it may act.
    :param status: of ``status`` and ``error_after_accept``.
    :param retry_after: seconds, sent as ``retry-after``.
    :param error_code: sent as ``error.details.error_code``.
    :param seconds: of ``hang``, ``late_listing`` and ``slow_cancel``; the last two by the server's clock.
    :param when: a ``hang`` comes before or after the request has its effect.
    :param rows: how many result lines are damaged.
    :param at: share of the result lines that come before a cut.
    :param clean: a cut that looks like the end of the stream (True) or breaks the connection (False).
    :param errored: of ``rows``: share of the requests that end so; ``expired``, ``canceled`` alike.
    :param error_type: of the errored rows.
    :param share: of ``misfits``: share of the structured requests whose answer does not fit the schema.
    :param misfit: how it does not fit (``include/offline_api/misfits.py``); None is in every way, in turn.
    :param repairs: of ``misfits``: also the answers to requests that repair an answer.
    """

    endpoint: Endpoint
    kind: str
    count: int | None = None
    probability: float | None = None
    seed: int = 0
    skip: int = 0
    status: int = 500
    retry_after: float | None = None
    error_code: str | None = None
    message: str | None = None
    seconds: float = 5.0
    when: Literal["before", "after"] = "before"
    rows: int = 1
    at: float = 0.5
    clean: bool | None = None
    errored: float = 0.0
    expired: float = 0.0
    canceled: float = 0.0
    error_type: str = "api_error"
    share: float = 1.0
    misfit: str | None = None
    repairs: bool = False

    def __post_init__(self) -> None:
        together = round(self.errored + self.expired + self.canceled, 9)
        shares = (
            self.probability or 0.0,
            self.at,
            self.errored,
            self.expired,
            self.canceled,
            together,
            self.share,
        )
        numbers = (self.count or 0, self.skip, self.rows, self.seconds, self.retry_after or 0)
        if self.kind not in KINDS[self.endpoint]:
            raise ValueError(f"{self.endpoint} knows the kinds {', '.join(KINDS[self.endpoint])}")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("probability, at, errored, expired, canceled and share are shares from 0 to 1")
        if min(numbers) < 0:
            raise ValueError("count, skip, rows, seconds and retry_after are not negative")
        if not 400 <= self.status <= 599:
            raise ValueError("status is from 400 to 599")
        if self.error_type not in FORCED_ERRORS:
            raise ValueError(f"error_type is one of {', '.join(FORCED_ERRORS)}")
        if self.misfit is not None and self.misfit not in MISFITS:
            raise ValueError(f"misfit is one of {', '.join(MISFITS)}")

    def error(self) -> ApiError:
        """Return the refusal this rule asks for."""
        status = 404 if self.kind == "not_found" else self.status
        headers = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        message = self.message or f"{self.kind} {status} asked for by a fault rule"
        return ApiError(status, message, headers=headers, error_code=self.error_code)


class _Active:
    """A rule and how often it has come up and acted."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.random = random.Random(rule.seed)  # noqa: S311
        self.seen = self.hits = 0

    def acts(self) -> bool:
        """Tell whether the rule acts now, and count it."""
        if self.rule.count is not None and self.hits >= self.rule.count:
            return False
        self.seen += 1
        if self.seen <= self.rule.skip:
            return False
        if self.rule.probability is not None and self.random.random() >= self.rule.probability:
            return False
        self.hits += 1
        return True


class Faults:
    """The rules in force, in the order they came; the first that acts at a point is the only one there."""

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Add rules.

        :param data: JSON, a list of rules or one.
        :raises ApiError: 400: nothing was added.
        """
        try:
            decoded = msgspec.json.decode(data, type=list[Rule] | Rule)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(400, f"faults: {error}") from error
        rules = decoded if isinstance(decoded, list) else [decoded]
        with self._lock:
            self._active += map(_Active, rules)

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._active = []

    def show(self) -> list[dict[str, Any]]:
        """Return the rules with the number of times each has acted."""
        with self._lock:
            return [{**msgspec.to_builtins(active.rule), "hits": active.hits} for active in self._active]

    def take(self, endpoint: str, kinds: Collection[str], when: str | None = None) -> Rule | None:
        """Return the rule that acts now, counted as having acted.

        :param when: only rules for before, or for after, the request's effect.
        """
        with self._lock:
            for active in self._active:
                rule = active.rule
                fits = rule.endpoint == endpoint and rule.kind in kinds and when in (None, rule.when)
                if fits and active.acts():
                    return rule
        return None

    def take_all(self, endpoint: str, kinds: Collection[str]) -> list[Rule]:
        """Return the rule of each kind that acts now."""
        found = [self.take(endpoint, [kind]) for kind in kinds]
        return [rule for rule in found if rule is not None]
