"""How each request of a batch ends: decided once, when the batch is accepted or canceled."""

from __future__ import annotations

import mmap
import random
from dataclasses import dataclass, field
from pathlib import Path

from offline_api.answer_kinds import KINDS, PLAIN, AnswerKind, special_kind
from offline_api.api_errors import ApiError
from offline_api.body_checks import Item, decode_body, decode_params
from offline_api.canned_answers import wanted_schema
from offline_api.misfits import MISFITS
from offline_api.parameter_checks import Circumstances, refusal

SUCCEEDED, ERRORED, CANCELED, EXPIRED, FORCED = range(5)
FORCED_ERRORS = (
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
)
"""Code ``FORCED + n`` is an errored result of type ``FORCED_ERRORS[n]`` that a fault rule asked for."""

NO_CREDIT, OVER_LIMIT = 32, 33
"""Codes of errored results: credit or the own spend limit was used up before the request was processed."""

ANSWERED = 64
"""Code ``ANSWERED + n`` is a succeeded result whose answer is of the kind ``KINDS[n]``."""


def has_answer(code: int) -> bool:
    """Return whether a request succeeds."""
    return code == SUCCEEDED or code >= ANSWERED


def answer_kind(code: int) -> AnswerKind:
    """Return what kind of answer a succeeded request gets."""
    return KINDS[code - ANSWERED] if code >= ANSWERED else PLAIN


def code_of(kind: AnswerKind) -> int:
    """Return the code of a kind of answer."""
    return ANSWERED + KINDS.index(kind)


@dataclass
class Plan:
    """One code per request, in the order of the body."""

    codes: bytearray = field(default_factory=bytearray)

    def stop_at(self, index: int, code: int) -> None:
        """Give ``code`` to all requests from ``index`` on, which are never processed."""
        self.codes[index:] = bytes([code]) * (len(self.codes) - index)

    def force(self, *, seed: int, shares: dict[int, float]) -> None:
        """Give other codes to some of the requests that would succeed.

        :param shares: code to the share of all requests that get it.
        """
        left = [index for index, code in enumerate(self.codes) if code == SUCCEEDED]
        random.Random(seed).shuffle(left)  # noqa: S311
        for code, share in shares.items():
            for _ in range(min(round(share * len(self.codes)), len(left))):
                self.codes[left.pop()] = code

    def counts(self) -> dict[str, int]:
        """Return how many requests end in each way."""
        canceled, expired = map(self.codes.count, (CANCELED, EXPIRED))
        succeeded = sum(map(has_answer, self.codes))
        return {
            "succeeded": succeeded,
            "errored": len(self.codes) - succeeded - canceled - expired,
            "canceled": canceled,
            "expired": expired,
        }


def map_items(body: Path) -> list[Item]:
    """Decode a body without reading it into memory: the params of its items are views into the file.

    :raises ApiError: the body is refused as a whole.
    """
    if body.stat().st_size == 0:
        raise ApiError(400, "The request body is not valid JSON")
    with body.open("rb") as stream:
        # Not closed explicitly: it is freed with its last view.
        return decode_body(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def read_plan(body: Path, around: Circumstances) -> Plan:
    """Check a body and decide what happens to its requests.

    :raises ApiError: the body is refused as a whole.
    """
    plan = Plan()
    for index, item in enumerate(map_items(body)):
        refused = refusal(decode_params(index, item.params), around, memoryview(item.params).nbytes)
        plan.codes.append(SUCCEEDED if refused is None else ERRORED)
    return plan


def make_misfits(
    plan: Plan, body: Path, *, seed: int, share: float, misfit: str | None, repairs: bool
) -> None:
    """Make some answers to structured requests not fit their schema.

    :param share: of the structured requests that would succeed.
    :param misfit: one of ``MISFITS``, or None for all of them in turn.
    :param repairs: also answers to a second turn, which says what was wrong with the first.
    """
    items, structured = map_items(body), []
    for index, code in enumerate(plan.codes):
        params = decode_params(index, items[index].params) if code == SUCCEEDED else {}
        if params and wanted_schema(params) is not None and (repairs or len(params["messages"]) == 1):
            structured.append(index)
    for number, index in enumerate(_chosen(structured, share, seed)):
        plan.codes[index] = code_of(AnswerKind(misfit=misfit or MISFITS[number % len(MISFITS)]))


def make_answers(plan: Plan, *, seed: int, share: float, special: str, category: str | None) -> None:
    """Give some requests that would succeed an answer of another kind.

    :param special: one of ``ANSWERS``.
    :param category: for refusals; None is a refusal without a category.
    """
    plain = [index for index, code in enumerate(plan.codes) if code == SUCCEEDED]
    code = code_of(special_kind(special, category))
    for index in _chosen(plain, share, seed):
        plan.codes[index] = code


def _chosen(indexes: list[int], share: float, seed: int) -> list[int]:
    return sorted(random.Random(seed).sample(indexes, round(share * len(indexes))))  # noqa: S311
