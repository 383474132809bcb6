"""Request bodies for the offline API's tests."""

from __future__ import annotations

from typing import Any

MODEL = "claude-haiku-4-5"


def params(text: str = "One. Two. Three.", **changes: Any) -> dict[str, Any]:
    """Return the params of one request; ``None`` removes a field."""
    whole = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}], **changes}
    return {name: value for name, value in whole.items() if value is not None}


def item(custom_id: str = "a-0", text: str = "One. Two. Three.", **changes: Any) -> dict[str, Any]:
    """Return one request."""
    return {"custom_id": custom_id, "params": params(text, **changes)}


def items(count: int) -> list[dict[str, Any]]:
    """Return requests ``a-0`` to ``a-{count-1}``, each with a different text."""
    return [item(f"a-{index}", f"<article>Text {index}. Second. Third.</article>") for index in range(count)]
