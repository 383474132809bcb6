"""Hypothesis strategies for Pydantic models and values that fit them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
INT64 = st.integers(-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Family:
    """A type and how to draw values of it, as Pydantic takes them."""

    annotation: Any
    values: st.SearchStrategy[Any]


def _texts(draw: Any) -> Family:
    least, more = draw(st.integers(0, 3)), draw(st.integers(0, 30))
    if draw(st.booleans()):
        return Family(str, TEXT)
    values = st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=least + more)
    return Family(Annotated[str, Field(min_length=least, max_length=least + more)], values)


def _integers(draw: Any) -> Family:
    if draw(st.booleans()):
        return Family(int, INT64)
    low = draw(st.integers(-1000, 1000))
    high = low + draw(st.integers(0, 500))
    return Family(Annotated[int, Field(ge=low, lt=high + 1)], st.integers(low, high))


def _decimals(draw: Any) -> Family:
    places = draw(st.integers(0, 6))
    whole = draw(st.integers(1, 12))
    values = st.decimals(
        -(10**whole) + 1, 10**whole - 1, places=places, allow_nan=False, allow_infinity=False
    )
    return Family(Annotated[Decimal, Field(max_digits=whole + places, decimal_places=places)], values)


def _choices(draw: Any) -> Family:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        members = {f"M{index}": name for index, name in enumerate(names)}
        functional: Any = enum.Enum
        kind = functional("Kind", members)
        return Family(kind, st.sampled_from(list(kind)))
    numbers = draw(st.lists(st.integers(-99, 99), min_size=1, max_size=4, unique=True))
    values = draw(st.sampled_from([names, numbers]))
    return Family(Literal[tuple(values)], st.sampled_from(values))


@st.composite
def families(draw: Any, depth: int = 2) -> Family:
    """Draw one type."""
    plain = [
        lambda: _texts(draw),
        lambda: _integers(draw),
        lambda: _decimals(draw),
        lambda: _choices(draw),
        lambda: Family(bool, st.booleans()),
        lambda: Family(float, st.floats(allow_nan=False, allow_infinity=False)),
        lambda: Family(Decimal, st.decimals(-(10**12), 10**12, places=4)),
        lambda: Family(date, st.dates()),
        lambda: Family(datetime, st.datetimes(timezones=st.just(UTC))),
    ]
    nested = [lambda: _lists(draw, depth), lambda: _models(draw, depth), lambda: _optional(draw, depth)]
    drawn: Family = draw(st.sampled_from([*plain, *(nested * 2 if depth else [])]))()
    return drawn


def _lists(draw: Any, depth: int) -> Family:
    inner = draw(families(depth - 1))
    least = draw(st.integers(0, 2))
    item: Any = inner.annotation
    kind = Annotated[list[item], Field(min_length=least, max_length=least + 3)]
    return Family(kind, st.lists(inner.values, min_size=least, max_size=least + 3))


def _optional(draw: Any, depth: int) -> Family:
    inner = draw(families(depth - 1))
    return Family(inner.annotation | None, st.none() | inner.values)


def _models(draw: Any, depth: int) -> Family:
    model, values = draw(models(depth - 1))
    return Family(model, values)


@st.composite
def models(draw: Any, depth: int = 2) -> tuple[type[BaseModel], st.SearchStrategy[Any]]:
    """Draw a model and the strategy of its instances."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold))
    fields: dict[str, Any] = {}
    values = {}
    for index, name in enumerate(names):
        family = draw(families(depth))
        words = draw(st.none() | st.sampled_from(["What it is.", "说明"]))
        field: Any = Field(alias=name, description=words)
        if draw(st.integers(0, 3)) == 0:  # may be absent
            field = Field(default=None, alias=name, description=words)
            family = Family(family.annotation | None, st.none() | family.values)
        fields[f"f{index}"] = (family.annotation, field)
        values[name] = family.values
    model = create_model("Model", **fields)
    return model, st.fixed_dictionaries(values).map(model.model_validate)


@st.composite
def answers(draw: Any) -> tuple[type[BaseModel], list[BaseModel]]:
    """Draw a model and some instances."""
    model, values = draw(models())
    return model, draw(st.lists(values, min_size=1, max_size=4))


def plain(value: Any) -> Any:
    """Return a model's values as they come back from Arrow."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {field.alias: plain(getattr(value, name)) for name, field in fields.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value
