"""Faults that can be switched on. The server asks at named points; no rule means no fault."""

from __future__ import annotations

ENDPOINTS = ("create", "retrieve", "list", "results", "cancel")


class Faults:
    """The rules in force."""

    def clear(self) -> None:
        """Forget all rules."""
