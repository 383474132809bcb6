"""Write the results of a batch as Parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from message_batches import config, metrics
from message_batches.operators.references import label_map_index
from message_batches.remedies import fail_without_retry
from nightpress.layout import check_pipeline_name

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import BaseModel


class WriteResultsOperator(BaseOperator):
    """Keep the results of an ended batch and write them as Parquet: one row for each article, in order.

    The raw stream is stored first, so that everything after it can be done again without the API.
    Returns the numbers of the shard, ``{"uri", "batch_id", "articles", "by_status", …}``.

    :param shard: the shard reference that was submitted.
    :param batch_id: its batch, once it has ended.
    :param pipeline: name of the pipeline.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param model: a Pydantic model's class, when the run has typed answers: its own validators check them, too.
    """

    template_fields: Sequence[str] = ("shard", "batch_id", "conn_id")
    ui_color = "#e8e4f0"

    def __init__(
        self,
        *,
        shard: Any,
        batch_id: Any,
        pipeline: str,
        conn_id: str = config.DEFAULT_CONN_ID,
        model: type[BaseModel] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shard = shard
        self.batch_id = batch_id
        self.pipeline = check_pipeline_name(pipeline)
        self.conn_id = conn_id
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        """Collect the shard."""
        # Arrow's own pools keep what was freed: 40 MB more, and Airflow runs many of these side by side.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        from nightpress.results.collect import collect_batch
        from nightpress.results.shard_rows import Provenance
        from nightpress.runs.shard_submission import day_of_shard, open_shard

        with fail_without_retry():
            shard = open_shard(self.shard, config.data_root(), context["run_id"], self.pipeline)
            label_map_index(shard)
            api = config.connect(self.conn_id)
            provenance = Provenance(self.pipeline, day_of_shard(shard), self.batch_id)
            results = collect_batch(
                shard,
                config.data_root(),
                provenance,
                api,
                config.open_ledger(api.scope),
                model=self.model,
            )
        self.log.info("shard %s: %s -> %s", shard.name, results.by_status, results.uri)
        metrics.count_statuses(self.pipeline, results.by_status)
        return asdict(results)
