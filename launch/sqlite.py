"""How Airflow's components connect to SQLite; Airflow imports this by the name in their environment."""

from __future__ import annotations

CONNECT_ARGS = {"timeout": 60.0}
"""Seconds to wait for another component's write. With the default of 5, a click in the UI fails on a busy machine."""
