"""The name of a "host" of the cluster: all run on one machine, but Airflow must distinguish them."""

from __future__ import annotations

import os

HOST_NAME = "NIGHTPRESS_CLUSTER_HOST"


def host_name() -> str:
    """Return the name of the host that this process belongs to; ``[core] hostname_callable``."""
    return os.environ[HOST_NAME]
