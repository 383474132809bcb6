"""What will become of each request of a batch: decided once, when the batch is accepted or canceled."""

from __future__ import annotations

import mmap
import random
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from offline_api import canned_answers
from offline_api.api_errors import ApiError
from offline_api.checks import Item, decode_body, decode_params, refusal
from offline_api.misfits import MISFITS

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

MISFIT = 64
"""Code ``MISFIT + n`` is a succeeded result whose answer does not fit its schema, in the way ``MISFITS[n]``."""


def has_answer(code: int) -> bool:
    """Tell whether a request ends succeeded, and so is billed."""
    return code == SUCCEEDED or code >= MISFIT


def misfit_of(code: int) -> str | None:
    """Return how the answer of a succeeded request must not fit; None when it fits."""
    return MISFITS[code - MISFIT] if code >= MISFIT else None


@dataclass
class Plan:
    """One code and two token counts a request, in the order of the body."""

    codes: bytearray = field(default_factory=bytearray)
    input_tokens: array[int] = field(default_factory=lambda: array("I"))
    output_tokens: array[int] = field(default_factory=lambda: array("I"))

    def add(self, code: int, input_tokens: int, output_tokens: int) -> None:
        """Append one request."""
        self.codes.append(code)
        self.input_tokens.append(input_tokens)
        self.output_tokens.append(output_tokens)

    def stop_at(self, index: int, code: int) -> None:
        """Give ``code`` to all requests from ``index`` on: their turn never comes."""
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

    def billed_tokens(self) -> tuple[int, int]:
        """Return input and output tokens of the succeeded requests."""
        rows = zip(self.codes, self.input_tokens, self.output_tokens, strict=True)
        billed = [(inputs, outputs) for code, inputs, outputs in rows if has_answer(code)]
        return sum(row[0] for row in billed), sum(row[1] for row in billed)

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
        # Never closed by hand: it goes when the last view does.
        return decode_body(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def read_plan(body: Path) -> Plan:
    """Check a body and decide what becomes of its requests.

    :raises ApiError: the body is refused as a whole.
    """
    plan = Plan()
    for index, item in enumerate(map_items(body)):
        params = decode_params(index, item.params)
        if refusal(params):
            plan.add(ERRORED, 0, 0)
        else:
            plan.add(SUCCEEDED, *canned_answers.tokens(params, canned_answers.answer(params).text))
    return plan


def make_misfits(
    plan: Plan, body: Path, *, seed: int, share: float, misfit: str | None, repairs: bool
) -> None:
    """Let some answers of structured requests not fit.

    :param share: of the structured requests that would succeed.
    :param misfit: one of ``MISFITS``, or None for all of them in turn.
    :param repairs: also those of a second turn, which says what was wrong with the first.
    """
    items, structured = map_items(body), []
    for index, code in enumerate(plan.codes):
        params = decode_params(index, items[index].params) if code == SUCCEEDED else {}
        if (
            params
            and canned_answers.wanted_schema(params) is not None
            and (repairs or len(params["messages"]) == 1)
        ):
            structured.append(index)
    chosen = random.Random(seed).sample(structured, round(share * len(structured)))  # noqa: S311
    for number, index in enumerate(sorted(chosen)):
        name = misfit or MISFITS[number % len(MISFITS)]
        params = decode_params(index, items[index].params)
        plan.codes[index] = MISFIT + MISFITS.index(name)
        plan.output_tokens[index] = canned_answers.tokens(
            params, canned_answers.answer(params, misfit=name).text
        )[1]
