"""Airflow operators, sensor and pipeline for Claude's Message Batches API.

Imported lazily, so that parsing a DAG file costs only what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from message_batches.assets import PUBLISHED_DAYS as PUBLISHED_DAYS
    from message_batches.comparison import message_batch_comparison
    from message_batches.hand_made import send_requests
    from message_batches.operators import (
        ApprovePlanOperator,
        CollectFailuresOperator,
        PublishResultsOperator,
        ReadArticlesOperator,
        SubmitBatchOperator,
        WriteComparisonOperator,
        WriteReportOperator,
        WriteResultsOperator,
    )
    from message_batches.pipeline import message_batch_pipeline, published
    from message_batches.sensors import MessageBatchSensor
    from message_batches.triggers import MessageBatchTrigger

__all__ = [
    "ApprovePlanOperator",
    "CollectFailuresOperator",
    "MessageBatchSensor",
    "MessageBatchTrigger",
    "PublishResultsOperator",
    "ReadArticlesOperator",
    "SubmitBatchOperator",
    "WriteComparisonOperator",
    "WriteReportOperator",
    "WriteResultsOperator",
    "message_batch_comparison",
    "message_batch_pipeline",
    "published",
    "send_requests",
]

_MODULES = {
    "PUBLISHED_DAYS": "assets",
    "MessageBatchSensor": "sensors",
    "MessageBatchTrigger": "triggers",
    "message_batch_comparison": "comparison",
    "message_batch_pipeline": "pipeline",
    "published": "pipeline",
    "send_requests": "hand_made",
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'operators')}"), name)
