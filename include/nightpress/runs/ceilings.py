"""Limits that the author of a pipeline declares; the settings of a run can only lower them.

The numbers of a trigger form can be any JSON value, from the form, the command line or the REST API. They are
read here, checked against real bounds, and lowered to the declared limits; an empty value takes the declared
limit. So neither null nor a billion raises a budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from nightpress.articles.reading_options import ReadLimits, ReadOptions
from nightpress.errors import ConfigurationError
from nightpress.settings import DEFAULT_MAX_TOKENS

MAX_LIMIT = 100_000_000
"""Most articles of one run: 10,000 batches of 10,000."""

MAX_CHARACTERS = 100_000_000
"""Most characters of a field; a batch holds 256 MB."""

MAX_ANSWER_TOKENS = 300_000
"""Tokens of the longest answer of any model, with a beta header; each model's limit is checked separately."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The cost limits and settings that a run was started with.

    :param max_cost_usd: budget in USD; None means no budget.
    :param approve_above_usd: USD above which a person must approve; None never asks.
    :param limit: read at most this many articles; None reads all.
    """

    model: str
    max_tokens: int
    max_cost_usd: float | None = None
    approve_above_usd: float | None = None
    limit: int | None = None

    @classmethod
    def read(
        cls, *, model: str, max_tokens: object, max_cost_usd: object, approve_above_usd: object, limit: object
    ) -> RunSettings:
        """Return the settings of a trigger form, whose values can be any JSON value.

        :raises ConfigurationError: a value is invalid; the message names it.
        """
        return cls(
            model,
            read_count("max_tokens", max_tokens, MAX_ANSWER_TOKENS) or DEFAULT_MAX_TOKENS,
            read_usd("max_cost_usd", max_cost_usd),
            read_usd("approve_above_usd", approve_above_usd),
            read_count("limit", limit, MAX_LIMIT),
        )


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The limits that a pipeline declares; None declares no limit.

    :param models: the only models that may be chosen; empty allows all.
    :param read_limits: limits on memory and disk for a source; None if ``read_options`` is a reference.
    """

    max_cost_usd: float | None = None
    approve_above_usd: float | None = None
    max_tokens: int | None = None
    limit: int | None = None
    models: tuple[str, ...] = ()
    read_limits: ReadLimits | None = None

    @classmethod
    def declared(cls, values: Mapping[str, Any], models: Sequence[str] = ()) -> Ceilings:
        """Return the limits that a pipeline's declaration gives as plain numbers.

        :param values: the declared values by name; an absent value, None or a reference declares no limit.
        :raises ConfigurationError: a number is invalid.
        """
        options = values.get("read_options") or {}
        plain = {name: values[name] for name in _NAMES if _is_plain(values.get(name))}
        return cls(
            read_usd("max_cost_usd", plain.get("max_cost_usd")),
            read_usd("approve_above_usd", plain.get("approve_above_usd")),
            read_count("max_tokens", plain.get("max_tokens"), MAX_ANSWER_TOKENS),
            read_count("limit", plain.get("limit"), MAX_LIMIT),
            tuple(models),
            ReadOptions.of(options).limits if isinstance(options, Mapping) else None,
        )

    def apply(self, asked: RunSettings) -> tuple[RunSettings, list[str]]:
        """Lower the requested settings to the declared limits; return them and a note on each lowered value.

        :raises ConfigurationError: the model is not one of the declared models.
        """
        if self.models and asked.model not in self.models:
            raise ConfigurationError(
                f"model {asked.model!r} is not one of those that this pipeline allows: {', '.join(self.models)}"
            )
        notes = []
        lowered: dict[str, Any] = {}
        for name in _NAMES:
            most, wanted = getattr(self, name), getattr(asked, name)
            if most is None or (wanted is not None and wanted <= most):
                continue
            lowered[name] = most
            if wanted is not None:
                notes.append(
                    f"{name} is {most:g}, not {wanted:g}: the pipeline's declaration allows no more."
                )
        return replace(asked, **lowered), notes

    def limit_reading(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return reading options, with the declared limit for each limit that they do not set.

        :raises ConfigurationError: a limit is above the declared one.
        """
        if self.read_limits is None:
            return dict(options)
        declared = asdict(self.read_limits)
        for name, most in declared.items():
            wanted = options.get(name)
            if isinstance(wanted, int) and wanted > most:
                raise ConfigurationError(
                    f"{name} is {wanted:,}; whoever starts a run of this pipeline may ask for {most:,} at most. Its "
                    "declaration allows more with read_options"
                )
        return {**declared, **options}


_NAMES = ("max_cost_usd", "approve_above_usd", "max_tokens", "limit")


def _is_plain(value: object) -> bool:
    """Return whether a value is given directly, not as a reference or a template that the run fills in."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return isinstance(value, (int, float, Decimal, Fraction))


def read_usd(name: str, value: object) -> float | None:
    """Return an amount from a form: a number, a number as text, or nothing.

    :raises ConfigurationError: it is not a number, or not above 0.
    """
    if value is None or value == "":
        return None
    try:
        amount = _to_float(value)
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if math.isnan(amount) or amount <= 0:
        raise ConfigurationError(
            f"{name} is {value!r:.60}; an amount of USD above 0, such as 2.50, is needed, or nothing for no limit"
        )
    return amount


def _to_float(value: object) -> float:
    if isinstance(value, str):
        # Python reads 1_000 and the digits of other scripts as well.
        return float(value) if value.isascii() and "_" not in value else math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, Fraction)):
        return math.nan
    return float(value)


def read_count(name: str, value: object, most: int) -> int | None:
    """Return a number of articles or tokens from a form: a whole number, one as text, or nothing.

    :param most: the highest valid number.
    :raises ConfigurationError: it is not a whole number, or not 1 to ``most``.
    """
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else ""
    count = 0
    if isinstance(value, bool):
        pass
    elif isinstance(value, int):
        count = value
    elif isinstance(value, float) and value.is_integer():
        count = int(value)
    elif text.isascii() and text.isdigit() and len(text) <= len(str(most)):
        count = int(text)
    if not 1 <= count <= most:
        raise ConfigurationError(f"{name} is {value!r:.60}; it must be a whole number from 1 to {most:,}")
    return count
