"""Lineage for OpenLineage: a day's source, its answers and the report, with rows, cost, model and columns.

Imported only by the methods that the OpenLineage provider calls, so Nightpress runs without that provider. It has
names, numbers and the digest of the prompt, but no text of an article or a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    RunFacet,
    column_lineage_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from nightpress.parquet_files import open_parquet
from nightpress.storage import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa

    from nightpress.costs.plan import Plan

Lineage: TypeAlias = OperatorLineage[Dataset, RunFacet]
"""What an operator tells the OpenLineage provider."""

_FROM_SOURCE = {"article_id": "id", "title": "title"}
_OF_ANSWER = "text"


@attr.define
class BatchRunFacet(RunFacet):
    """How a day was answered, and what it cost.

    :param cost_usd: USD paid; None when a model's price is not known.
    :param prompt: SHA-256 of model, prompt and settings.
    """

    pipeline: str = attr.field()
    day: str = attr.field()
    model: str | None = attr.field(default=None)
    articles: int = attr.field(default=0)
    succeeded: int = attr.field(default=0)
    reused: int = attr.field(default=0)
    batches: int = attr.field(default=0)
    input_tokens: int = attr.field(default=0)
    output_tokens: int = attr.field(default=0)
    cost_usd: float | None = attr.field(default=None)
    list_cost_usd: float | None = attr.field(default=None)
    prompt: str | None = attr.field(default=None)
    offline: bool = attr.field(default=False)

    @staticmethod
    def _get_schema() -> str:
        return "https://github.com/OpenLineage/OpenLineage/blob/main/spec/OpenLineage.json#/$defs/RunFacet"


def dataset_name(uri: str) -> tuple[str, str]:
    """Return the namespace and name of a file, as OpenLineage names datasets; without an Airflow connection id.

    >>> dataset_name("s3://aws_default@bucket/nightpress/paper/day=2026-11-22/answers.parquet")
    ('s3://bucket', 'nightpress/paper/day=2026-11-22/answers.parquet')
    >>> dataset_name("/srv/inbox")
    ('file', '/srv/inbox')
    """
    parts = urlsplit(uri)
    if parts.scheme in {"", "file", "local"}:
        return "file", parts.path or uri
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/") or "/"


def published_day(numbers: Mapping[str, Any], answers: StoragePath, plan: Plan | None) -> Lineage:
    """Return the lineage of a published day.

    :param numbers: the fields of :class:`nightpress.days.publish.DaySummary`.
    :param answers: the published file.
    """
    with open_parquet(answers) as file:
        schema = file.schema_arrow
    source = plan.source if plan is not None else ""
    inputs: list[Dataset] = [InputDataset(*dataset_name(source))] if source else []
    facets = {"schema": _schema(schema)}
    output = OutputDataset(
        *dataset_name(str(answers)),
        facets=facets | ({"columnLineage": _columns(schema, source, plan)} if source else {}),
        outputFacets={
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=int(numbers["articles"]), size=int(answers.stat().st_size), fileCount=1
            )
        },
    )
    known = {field.name for field in attr.fields(BatchRunFacet)}
    told = {name: value for name, value in numbers.items() if name in known}
    facet = BatchRunFacet(
        **told, model=plan.model if plan else None, prompt=(plan.template or None) if plan else None
    )
    return OperatorLineage(inputs=inputs, outputs=[output], run_facets={"nightpress": facet})


def written_report(days: Iterable[StoragePath], report: StoragePath) -> Lineage:
    """Return the lineage of a day's report over the answers of some pipelines."""
    return OperatorLineage(
        inputs=[InputDataset(*dataset_name(str(answers))) for answers in days],
        outputs=[OutputDataset(*dataset_name(str(report)))],
    )


def _schema(schema: pa.Schema) -> schema_dataset.SchemaDatasetFacet:
    fields = [
        schema_dataset.SchemaDatasetFacetFields(
            name=field.name,
            type=str(field.type),
            description=(field.metadata or {}).get(b"about", b"").decode() or None,
        )
        for field in schema
    ]
    return schema_dataset.SchemaDatasetFacet(fields=fields)


def _columns(
    schema: pa.Schema, source: str, plan: Plan | None
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Return which field of the source each column comes from; answers come from the content."""
    from nightpress.results.answers_schema import metadata_fields, output_fields

    namespace, name = dataset_name(source)
    copied = _FROM_SOURCE | {field.name: field.name for field in metadata_fields(schema)}
    answered = {_OF_ANSWER, *(field.name for field in output_fields(schema))}
    model = plan.model if plan else "a model"
    fields = {}
    for column in schema.names:
        if column not in copied and column not in answered:
            continue
        kind = "IDENTITY" if column in copied else "TRANSFORMATION"
        about = "" if column in copied else f"answer of {model} about the content"
        step = column_lineage_dataset.Transformation(
            type="DIRECT", subtype=kind, description=about, masking=False
        )
        origin = column_lineage_dataset.InputField(
            namespace=namespace, name=name, field=copied.get(column, "content"), transformations=[step]
        )
        fields[column] = column_lineage_dataset.Fields(inputFields=[origin])
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)
