"""What Airflow is told about Nightpress as a provider: ``airflow providers list`` and the operators' docs."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description; entry point ``apache_airflow_provider`` of the wheel."""
    name = "Claude Message Batches (Nightpress)"
    return {
        "package-name": "nightpress",
        "name": name,
        "description": "Article pipelines on Claude's Message Batches API: operators, a sensor and triggers, "
        "with a ledger that prevents paying twice.",
        "integrations": [
            {
                "integration-name": name,
                "external-doc-url": "https://platform.claude.com/docs/en/build-with-claude/batch-processing",
                "tags": ["ai"],
            }
        ],
        "operators": [{"integration-name": name, "python-modules": ["message_batches.operators"]}],
        "sensors": [{"integration-name": name, "python-modules": ["message_batches.sensors"]}],
        "triggers": [{"integration-name": name, "python-modules": ["message_batches.triggers"]}],
    }
