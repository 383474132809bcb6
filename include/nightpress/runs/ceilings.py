"""What the author of a pipeline allows at most: whoever starts a run can only lower it.

The numbers of a trigger form arrive as anything that JSON can hold, from the form, the command line or the REST
API. They are read here, checked against real bounds, and lowered to what the pipeline declares; an empty value
takes what is declared. So neither null nor a billion lifts a budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nightpress.articles.reading_options import ReadLimits, ReadOptions
from nightpress.errors import ConfigurationError
from nightpress.settings import DEFAULT_MAX_TOKENS

MAX_LIMIT = 100_000_000
"""Articles of one run at most: 10,000 batches of 10,000."""

MAX_CHARACTERS = 100_000_000
"""Characters of a field at most; a batch holds 256 MB."""

MAX_ANSWER_TOKENS = 300_000
"""The longest answer of any model, with its beta header; each model's own limit is checked with the request."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run may cost and ask, as whoever started it wants it.

    :param max_cost_usd: USD; None has no budget.
    :param approve_above_usd: USD; None never asks a person.
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
        """Return the settings of a trigger form, whose values can be anything that JSON can hold.

        :raises ConfigurationError: naming the value that cannot be one of these.
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
    """The most that a pipeline declares; None declares nothing.

    :param models: the only models that may be chosen; empty allows all.
    :param read_limits: how much memory and disk a source may take; None when ``read_options`` is a reference.
    """

    max_cost_usd: float | None = None
    approve_above_usd: float | None = None
    max_tokens: int | None = None
    limit: int | None = None
    models: tuple[str, ...] = ()
    read_limits: ReadLimits | None = None

    @classmethod
    def declared(cls, values: Mapping[str, Any], models: Sequence[str] = ()) -> Ceilings:
        """Return the ceilings of what a pipeline's declaration gives as plain numbers.

        :param values: the declaration by name; what is not there, None or a reference declares nothing.
        :raises ConfigurationError: a number that cannot be one of these.
        """
        options = values.get("read_options") or {}
        plain = {name: values[name] for name in _NAMES if isinstance(values.get(name), (int, float))}
        return cls(
            read_usd("max_cost_usd", plain.get("max_cost_usd")),
            read_usd("approve_above_usd", plain.get("approve_above_usd")),
            read_count("max_tokens", plain.get("max_tokens"), MAX_ANSWER_TOKENS),
            read_count("limit", plain.get("limit"), MAX_LIMIT),
            tuple(models),
            ReadOptions.of(options).limits if isinstance(options, Mapping) else None,
        )

    def apply(self, asked: RunSettings) -> tuple[RunSettings, list[str]]:
        """Lower what was asked for to what is declared; return it and a note on each value that was lowered.

        :raises ConfigurationError: the model is none of the declared ones.
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
        """Return reading options with the declared limits where they name none.

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


def read_usd(name: str, value: object) -> float | None:
    """Return an amount as a form may give it: a number, a number as text, or nothing.

    :raises ConfigurationError: it is none, or not above 0.
    """
    if value is None or value == "":
        return None
    try:
        amount = (
            math.nan if not isinstance(value, (str, int, float)) or isinstance(value, bool) else float(value)
        )
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if math.isnan(amount) or amount <= 0:
        raise ConfigurationError(
            f"{name} is {value!r:.60}; an amount of USD above 0, such as 2.50, is needed, or nothing for no limit"
        )
    return amount


def read_count(name: str, value: object, most: int) -> int | None:
    """Return a number of articles or tokens as a form may give it: a whole number, one as text, or nothing.

    :param most: the highest number that there can be.
    :raises ConfigurationError: it is none, or not 1 to ``most``.
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
