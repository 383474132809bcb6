"""Faults that can be switched on. The server looks for rules at named points; no rule means no fault.

Rules are kept in memory until the server stops or ``DELETE /local/faults`` is called. The README has an example
of each kind.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

from offline_api.answer_kinds import ANSWERS, REFUSAL_CATEGORIES
from offline_api.api_errors import ApiError, Body
from offline_api.misfits import MISFITS
from offline_api.outcomes import FORCED_ERRORS

Endpoint = Literal["create", "retrieve", "list", "results", "cancel", "models", "count_tokens"]

BEFORE = ("status", "drop", "not_found", "echo_headers", "redirect")
"""Kinds that act before the request has any effect."""
AFTER = ("accept_then_drop", "error_after_accept")
"""Kinds that act after the request has had its effect, in place of the answer."""
HEADERS = ("wrong_date", "identity")
"""Kinds that change the headers of the answer."""
CUTS = ("cut_mid_line", "cut_at_line", "cut_compressed")
WHOLE_STREAM = ("crlf", "no_last_line_feed", "byte_order_mark")
LINES = (
    "missing_ids",
    "repeated_ids",
    "foreign_ids",
    "malformed_lines",
    "blank_lines",
    "null_fields",
    "missing_fields",
    "unknown_fields",
    "huge_numbers",
    "negative_numbers",
    "text_numbers",
    "unknown_types",
    "flat_errors",
    "surrogates",
    "endless_line",
    *WHOLE_STREAM,
)
_ANYWHERE = (*BEFORE, *AFTER, *HEADERS, "hang")
_BATCH = ("results_url", "odd_batch")
KINDS: dict[str, tuple[str, ...]] = {
    "create": (*_ANYWHERE, *_BATCH, "rows", "misfits", "answers", "late_listing"),
    "retrieve": (*_ANYWHERE, *_BATCH),
    "list": (*_ANYWHERE, *_BATCH, "repeated_cursor", "empty_list", "no_cursors"),
    "results": (*_ANYWHERE, *CUTS, *LINES),
    "cancel": (*_ANYWHERE, *_BATCH, "slow_cancel"),
    "models": _ANYWHERE,
    "count_tokens": _ANYWHERE,
}
_FORMS = Literal[
    "vendor", "relative", "http", "other_name", "other_port", "foreign", "user_info", "prefixed", "none"
]
_ODD = Literal[
    "unknown_status",
    "null_fields",
    "null_counts",
    "missing_fields",
    "missing_id",
    "unknown_fields",
    "bad_times",
    "huge_counts",
    "negative_counts",
    "text_counts",
    "odd_id",
    "not_an_object",
]


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault.

    :param endpoint: where it acts.
    :param kind: what happens; see ``KINDS``.
    :param count: how often it acts; None has no limit.
    :param probability: of acting when it could, drawn from ``seed``; None is always.
    :param skip: how many requests pass before it may act.
    :param status: of ``status``, ``error_after_accept``, ``echo_headers`` and ``redirect``.
    :param body: what an error's body is: the API's JSON, or what an edge or a proxy sends.
    :param retry_after: sent as ``retry-after``: seconds, or any text, e.g. ``inf`` or a date.
    :param error_code: sent as ``error.details.error_code``.
    :param message: of the error; of ``rows``, of the errored ones.
    :param location: of ``redirect``; None is this server under another name.
    :param seconds: of ``hang``, ``late_listing`` and ``slow_cancel``; the last two by the server's clock.
    :param shift_seconds: of ``wrong_date``: how far the ``date`` header is ahead, or behind when negative.
    :param organization_id: of ``identity``: sent in place of the true one; None leaves the header out.
    :param workspace_id: the same.
    :param when: a ``hang`` comes before or after the request has its effect.
    :param rows: how many result lines are damaged.
    :param field: of ``null_fields`` and ``missing_fields``: a dotted path; None takes usual ones in turn.
    :param megabytes: of ``endless_line``: how long it goes on.
    :param at: share of the result lines that come before a cut.
    :param clean: a cut that looks like the end of the stream (True) or breaks the connection (False).
    :param form: of ``results_url`` (`faulty_views.py``).
    :param odd: of ``odd_batch`` (`faulty_views.py``).
    :param place: of the odd batch in a page of the list, 0 is the newest.
    :param errored: of ``rows``: share of the requests that end so; the same for ``expired`` and ``canceled``.
    :param error_type: of the errored rows.
    :param share: of ``misfits`` and ``answers``: share of the requests that get such an answer.
    :param misfit: how it does not fit its schema (``misfits.py``); None is in every way, in turn.
    :param repairs: of ``misfits``: also the answers to requests that repair an answer.
    :param answer: of ``answers``: what kind of answer they get (``answer_kinds.py``).
    :param category: of the refusals that ``answer`` asks for; None is a refusal without one.
    """

    endpoint: Endpoint
    kind: str
    count: int | None = None
    probability: float | None = None
    seed: int = 0
    skip: int = 0
    status: int | None = None
    body: Body = "json"
    retry_after: float | str | None = None
    error_code: str | None = None
    message: str | None = None
    location: str | None = None
    seconds: float = 5.0
    shift_seconds: float = 0.0
    organization_id: str | None = None
    workspace_id: str | None = None
    when: Literal["before", "after"] = "before"
    rows: int = 1
    field: str | None = None
    megabytes: float = 1.0
    at: float = 0.5
    clean: bool | None = None
    form: _FORMS = "vendor"
    odd: _ODD = "unknown_status"
    place: int = 0
    errored: float = 0.0
    expired: float = 0.0
    canceled: float = 0.0
    error_type: str = "api_error"
    share: float = 1.0
    misfit: str | None = None
    repairs: bool = False
    answer: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS[self.endpoint]:
            raise ValueError(f"{self.endpoint} knows the kinds {', '.join(KINDS[self.endpoint])}")
        self._check_numbers()
        redirect = self.kind == "redirect"
        least, most = (300, 399) if redirect else (400, 599)
        if self.status is not None and not least <= self.status <= most:
            raise ValueError(f"status is from {least} to {most}")
        if self.error_type not in FORCED_ERRORS:
            raise ValueError(f"error_type is one of {', '.join(FORCED_ERRORS)}")
        self._check_answers()

    def _check_numbers(self) -> None:
        together = round(self.errored + self.expired + self.canceled, 9)
        shares = (
            self.probability or 0.0,
            self.at,
            self.errored,
            self.expired,
            self.canceled,
            self.share,
            together,
        )
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("probability, at, errored, expired, canceled and share are shares from 0 to 1")
        numbers = (self.count or 0, self.skip, self.rows, self.seconds, self.megabytes, self.place)
        if min(numbers) < 0:
            raise ValueError("count, skip, rows, seconds, megabytes and place are not negative")

    def _check_answers(self) -> None:
        if self.misfit is not None and self.misfit not in MISFITS:
            raise ValueError(f"misfit is one of {', '.join(MISFITS)}")
        if (self.kind == "answers") != (self.answer is not None) or self.answer not in (None, *ANSWERS):
            raise ValueError(f"answers needs answer, one of {', '.join(ANSWERS)}")
        if self.category not in (None, *REFUSAL_CATEGORIES):
            raise ValueError(f"category is null or one of {', '.join(REFUSAL_CATEGORIES)}")

    def error(self) -> ApiError:
        """Return the refusal this rule asks for."""
        status = self.status or (404 if self.kind == "not_found" else 500)
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            plain = isinstance(self.retry_after, str)
            headers["retry-after"] = str(self.retry_after) if plain else f"{self.retry_after:.15g}"
        message = self.message or f"{self.kind} {status} asked for by a fault rule"
        return ApiError(status, message, headers=headers, error_code=self.error_code, body=self.body)


class _Active:
    """A rule, how often it could have acted and how often it did."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.random = random.Random(rule.seed)  # noqa: S311
        self.seen = self.hits = 0

    def acts(self) -> bool:
        """Return whether the rule acts now, and count it."""
        if self.rule.count is not None and self.hits >= self.rule.count:
            return False
        self.seen += 1
        if self.seen <= self.rule.skip:
            return False
        if self.rule.probability is not None and self.random.random() >= self.rule.probability:
            return False
        self.hits += 1
        return True


_arrived: ContextVar[int | None] = ContextVar("arrived", default=None)
"""How often the rules had been forgotten when the request that is being answered arrived."""


class Faults:
    """The rules in force, in the order of their arrival; at each point only the first that matches acts.

    A request that came before the rules were last forgotten ignores later rules: it may still hang because of
    an earlier rule, and would use up one that is meant for another request.
    """

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._lock = threading.Lock()
        self._forgotten = 0

    def arrive(self) -> None:
        """Remember which rules may apply to the current request."""
        _arrived.set(self._forgotten)

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
            self._forgotten += 1

    def show(self) -> list[dict[str, Any]]:
        """Return the rules with the number of times each has acted."""
        with self._lock:
            return [{**msgspec.to_builtins(active.rule), "hits": active.hits} for active in self._active]

    def take(self, endpoint: str, kinds: Collection[str], when: str | None = None) -> Rule | None:
        """Return the rule that acts now, counted as having acted.

        :param when: only rules that act before, or after, the request has its effect.
        """
        with self._lock:
            if _arrived.get() not in {None, self._forgotten}:
                return None
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
