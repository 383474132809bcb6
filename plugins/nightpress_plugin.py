"""Registers with Airflow what Nightpress adds to it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from message_batches import switched_on
from message_batches.page import URL_PREFIX, PageApp


class NightpressPlugin(AirflowPlugin):
    """The Batches page, the pages of plans, reports and comparisons, and what tells that a DAG was switched on."""

    name = "nightpress"
    fastapi_apps = [{"app": PageApp(), "url_prefix": URL_PREFIX, "name": "Nightpress"}]  # noqa: RUF012
    listeners = [switched_on]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Batches",
            "href": f"{URL_PREFIX[1:]}/batches",
            "destination": "nav",
            "url_route": "batches",
            "nav_top_level": True,
        },
        {
            "name": "Batches",
            "href": f"{URL_PREFIX[1:]}/batches?dag_id={{DAG_ID}}&run={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "run_batches",
        },
    ]
