"""Assets that are not one pipeline's."""

from __future__ import annotations

from airflow.sdk import Asset

PUBLISHED_DAYS = Asset("nightpress_published_days")
"""Updated by every pipeline that publishes a day, partition by day: what follows it needs no list of pipelines."""
