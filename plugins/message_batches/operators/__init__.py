"""Articles to shards, shards to batches, batches to Parquet, Parquet to a published day.

Each operator is one call into ``include`` and can be used alone. What travels by XCom are references
and numbers; no text of an article or a prompt is templated, rendered, logged or stored in Airflow.
"""

from __future__ import annotations

from message_batches.operators.approve import ApprovePlanOperator
from message_batches.operators.collect import CollectFailuresOperator
from message_batches.operators.compare import WriteComparisonOperator
from message_batches.operators.publish import PublishResultsOperator
from message_batches.operators.read import ReadArticlesOperator
from message_batches.operators.report import WriteReportOperator
from message_batches.operators.submit import SubmitBatchOperator
from message_batches.operators.write import WriteResultsOperator

__all__ = [
    "ApprovePlanOperator",
    "CollectFailuresOperator",
    "PublishResultsOperator",
    "ReadArticlesOperator",
    "SubmitBatchOperator",
    "WriteComparisonOperator",
    "WriteReportOperator",
    "WriteResultsOperator",
]
