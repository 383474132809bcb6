"""Airflow's SimpleAuthManager with one rule more: who is called ``<dag id>_only`` may read that DAG alone."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class OneDagAuthManager(SimpleAuthManager):
    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        allowed = super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
        one = user.username.removesuffix("_only")
        return allowed and (
            one == user.username or details is None or details.id is None or details.id == one
        )
