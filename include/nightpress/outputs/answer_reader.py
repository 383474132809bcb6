"""Turn the text of an answer into values for its columns, or into the reason why it does not fit; never raise."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

from pydantic import BaseModel, ValidationError

from nightpress.outputs.nodes import Node
from nightpress.outputs.problems import MisfitError, Problem, short
from nightpress.outputs.value_readers import type_name, value_reader, with_listed_capitals

Values: TypeAlias = dict[str, Any]
"""An answer that fits: one Python value for each field, ready for Arrow."""

_FENCE = "```"
_FENCES = {_FENCE, f"{_FENCE}json", f"{_FENCE}JSON"}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


class AnswerReader:
    """Reads answers of one schema.

    :param top: the answer's object.
    :param model: a model whose validators must accept the answer too; None when there is none.
    """

    def __init__(self, top: Node, model: type[BaseModel] | None = None) -> None:
        self._top, self._read = top, value_reader(top)
        self._model = model

    def read(self, text: str | None) -> Values | Problem:
        """Return the values of an answer, or why it does not fit.

        :param text: the answer; a Markdown fence around it is removed.
        """
        text = _without_fence(text or "")
        if not text:
            return Problem("empty", "the answer is empty; a JSON object is needed")
        try:
            value = _decode(text)
            try:
                values: Values = self._read(value)
            except MisfitError as misfit:
                if misfit.reason != "unknown_value":
                    raise
                values = self._read(with_listed_capitals(self._top, value))
                text = json.dumps(with_listed_capitals(self._top, json.loads(text)))
        except MisfitError as misfit:
            return misfit.problem()
        return self._check(text) or values

    def _check(self, text: str) -> Problem | None:
        """Run the model's own validators, which may raise any exception."""
        if self._model is None:
            return None
        try:
            self._model.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            misfit = MisfitError("model_check", first["msg"])
            misfit.path = [f"[{step}]" if isinstance(step, int) else str(step)[:40] for step in first["loc"]]
            return misfit.problem()
        except Exception as error:
            return Problem("model_check", f"a validator of the model failed with {type(error).__name__}")
        return None


def _without_fence(text: str) -> str:
    """Return the text inside a Markdown code block, if the whole text is one; this takes linear time."""
    text = text.strip().removeprefix(_BYTE_ORDER_MARK).strip()
    first, line_feed, rest = text.partition("\n")
    fenced = line_feed and first.rstrip() in _FENCES and rest.endswith(_FENCE)
    return rest.removesuffix(_FENCE).strip() if fenced else text


def _decode(text: str) -> Any:
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise MisfitError("not_json", _what_is_wrong(text, error)) from None
    except (
        RecursionError,
        ValueError,
        ArithmeticError,
    ):  # nested too deeply; a number of thousands of digits
        raise MisfitError(
            "not_json", "the JSON is nested too deeply or has a number that is too long"
        ) from None
    if type(value) is not dict:
        raise MisfitError("not_an_object", f"a JSON object is needed, not {type_name(value)}")
    if _SURROGATE.search(text) or not _is_encodable(text):
        _refuse_surrogates(value)
    return value


def _what_is_wrong(text: str, error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data" or (error.pos == 0 and "{" in text):
        return "only the JSON object is needed, without text before or after it"
    return f"it is not valid JSON: {error.msg} at character {error.pos + 1}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MisfitError("duplicate_key", f"the field {short(twice)} is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise MisfitError("not_json", f"{name} is not JSON; a number or null is needed")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_surrogates(value: Any) -> None:
    """Refuse half of a surrogate pair, which no file can hold."""
    if isinstance(value, str) and not _is_encodable(value):
        raise MisfitError("bad_text", "the text holds half of a surrogate pair, which is not a character")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _below(f"[{index}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not _is_encodable(name):
                raise MisfitError("bad_text", "a field name holds half of a surrogate pair")
            _below(name, item)


def _below(step: str, value: Any) -> None:
    try:
        _refuse_surrogates(value)
    except MisfitError as misfit:
        raise misfit.below(step) from None


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=Decimal, parse_constant=_refuse_constant)
