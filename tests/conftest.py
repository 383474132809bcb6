"""Airflow reads its settings when it is imported: give it a home of its own before any test does."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="nightpress-test-home-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
