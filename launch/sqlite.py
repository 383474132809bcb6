"""How Airflow's components connect to SQLite; named in their environment, imported by Airflow itself."""

from __future__ import annotations

CONNECT_ARGS = {"timeout": 60.0}
"""Seconds to wait for another component's write. SQLite's own 5 fail a click in the UI on a busy machine."""
