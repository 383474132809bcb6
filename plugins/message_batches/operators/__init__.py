"""Articles to shards, shards to batches, batches to Parquet, Parquet to a published day.

Each operator is one call into ``include`` and can be used alone. What travels by XCom are references
and numbers; no text of an article or a prompt is templated, rendered, logged or stored in Airflow.
"""

from __future__ import annotations

from message_batches.operators.approve_plan import ApprovePlanOperator
from message_batches.operators.collect_failures import CollectFailuresOperator
from message_batches.operators.publish_results import PublishResultsOperator
from message_batches.operators.read_articles import ReadArticlesOperator
from message_batches.operators.submit_batch import SubmitBatchOperator
from message_batches.operators.write_comparison import WriteComparisonOperator
from message_batches.operators.write_report import WriteReportOperator
from message_batches.operators.write_results import WriteResultsOperator

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
