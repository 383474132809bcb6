"""Any model of the family → request → fitting answers → Parquet → the same values; damage never gets in."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anthropic.lib._parse._transform import transform_schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from nightpress.errors import ConfigurationError
from nightpress.outputs.arrow_columns import answer_columns, arrow_fields
from nightpress.outputs.output_schema import OutputSchema
from nightpress.outputs.problems import MAX_MESSAGE, Problem
from nightpress.outputs.request_schema import MAX_UNIONS
from offline_api.misfits import MISFITS, misfit_text
from offline_api.schema_checks import schema_refusal
from offline_api.schema_examples import example
from tests.support.schema_families import TEXT, answers, models, plain

EXAMPLES = settings(max_examples=60)


def schema_of(model: type[BaseModel]) -> OutputSchema:
    try:
        return OutputSchema.of(model)
    except ConfigurationError as error:
        assert f"takes {MAX_UNIONS} and" in str(error).replace("\n", " ")
        assume(False)
        raise


def through_parquet(schema: OutputSchema, rows: list[Any]) -> list[dict[str, Any]]:
    columns = answer_columns(schema, rows)
    table = pa.table(list(columns.values()), schema=pa.schema(arrow_fields(schema)))
    table.validate(full=True)
    target = io.BytesIO()
    pq.write_table(table, target)
    found = pq.read_table(io.BytesIO(target.getvalue()))
    assert found.schema.equals(table.schema)
    return list(found.to_pylist())


@EXAMPLES
@given(answers())
def test_the_same_values_come_back(drawn: tuple[type[BaseModel], list[BaseModel]]) -> None:
    model, instances = drawn
    schema = schema_of(model)
    reader = schema.reader()
    texts = [instance.model_dump_json(by_alias=True) for instance in instances]
    rows = [reader.read(text) for text in texts]
    assert not [row for row in rows if isinstance(row, Problem)]
    assert through_parquet(schema, [*rows, None]) == [
        *map(plain, instances),
        dict.fromkeys(field.name for field in schema.fields),
    ]


@EXAMPLES
@given(models(), TEXT)
def test_the_offline_api_fits(drawn: tuple[type[BaseModel], Any], text: str) -> None:
    schema = schema_of(drawn[0])
    assert schema_refusal(schema.request_schema) is None
    value = example(schema.request_schema, text)
    row = schema.reader().read(json.dumps(value))
    assert not isinstance(row, Problem), row.message
    through_parquet(schema, [row])


@EXAMPLES
@given(models())
def test_the_json_form_says_all(drawn: tuple[type[BaseModel], Any]) -> None:
    schema = schema_of(drawn[0])
    again = OutputSchema.from_json(schema.to_json())
    assert again == schema
    assert again.digest == schema.digest
    assert again.output_config == schema.output_config
    assert arrow_fields(again) == arrow_fields(schema)
    assert transform_schema(schema.request_schema) == schema.request_schema, (
        "nothing left that the API refuses"
    )


@settings(max_examples=150)
@given(answers(), st.data())
def test_damage_never_gets_in(drawn: tuple[type[BaseModel], list[BaseModel]], data: st.DataObject) -> None:
    model, instances = drawn
    schema = schema_of(model)
    text = instances[0].model_dump_json(by_alias=True)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    put = data.draw(
        st.sampled_from(["", "null", "1e999", "NaN", '"', "{", "}", ",", "\\ud800", "9" * 30]) | TEXT
    )
    found = schema.reader().read(text[:start] + put + text[end:])
    if isinstance(found, Problem):
        assert 0 < len(found.message) <= MAX_MESSAGE
        found.message.encode()
        return
    # What was read fits the model too, and is written as it was read.
    model.model_validate_json((text[:start] + put + text[end:]).strip().removeprefix("\ufeff").strip())
    assert len(through_parquet(schema, [found])) == 1


@EXAMPLES
@given(models(), TEXT, st.sampled_from(MISFITS))
def test_misfits_do_not_fit(drawn: tuple[type[BaseModel], Any], text: str, misfit: str) -> None:
    schema = schema_of(drawn[0])
    value = example(schema.request_schema, text)
    wrong, _ = misfit_text(misfit, value, schema.request_schema)
    found = schema.reader().read(wrong)
    assert isinstance(found, Problem)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found = OutputSchema.of({"type": "object", "properties": {"a": {"type": "string"}}}).reader()
    assert isinstance(found.read(text), Problem)


@pytest.mark.parametrize("depth", [10, 10_000, 200_000])
def test_deep_json_is_refused(depth: int) -> None:
    reader = OutputSchema.of({"properties": {"a": {"type": "string"}}}).reader()
    found = reader.read('{"a": ' + "[" * depth + "]" * depth + "}")
    assert isinstance(found, Problem)
