"""Reasons to refuse a request because of its prompt: system, tools, messages, images, length."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from offline_api.model_catalog import Model
from offline_api.token_counts import count_input, tokenizer

MAX_REQUEST_BYTES = 32 * 1000 * 1000
MAX_IMAGE_CHARACTERS = 10 * 1000 * 1000
"""Limit for one image in base64."""

_MAX_IMAGES = {200_000: 100, 1_000_000: 600}
"""Images per request, by the model's context window."""


def prompt_refusal(params: dict[str, Any]) -> str | None:
    """Return why the system prompt (a text or blocks) or the list of tools is refused."""
    system, tools = params.get("system"), params.get("tools")
    if not isinstance(system, str | list | None):
        return "system: Input should be a valid string or list"
    if isinstance(system, list) and not all(isinstance(block, dict) for block in system):
        return "system: Input should be a list of content blocks"
    if not isinstance(tools, list | None):
        return "tools: Input should be a valid list"
    for index, tool in enumerate(tools or ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            return f"tools.{index}.name: Field required"
    return None


def messages_refusal(messages: object, model: Model) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for index, message in enumerate(messages):
        if (found := _message_refusal(f"messages.{index}", message)) is not None:
            return found
    if messages[-1]["role"] == "assistant" and not model.prefill:
        return (
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    return None


def _message_refusal(field: str, message: object) -> str | None:
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
        return f"{field}: Input should be a message with a role"
    content = message.get("content")
    if not isinstance(content, str | list):
        return f"{field}.content: Input should be a valid string or list"
    if isinstance(content, list) and not all(
        isinstance(block, dict) and block.get("type") for block in content
    ):
        return f"{field}.content: Input should be a list of content blocks"
    if not content or (isinstance(content, str) and not content.strip()):
        return f"{field}: text content blocks must be non-empty"
    return None


def content_refusal(params: dict[str, Any], model: Model, size_bytes: int) -> str | None:
    if size_bytes > MAX_REQUEST_BYTES:
        return f"Request exceeds the maximum size of {MAX_REQUEST_BYTES} bytes"
    images = _count(params, "image")
    if images > (most := _MAX_IMAGES[model.context_tokens]):
        return f"messages: at most {most} images are allowed in one request, not {images}"
    if any(size > MAX_IMAGE_CHARACTERS for size in _image_sizes(params)):
        return f"messages: an image exceeds the maximum size of {MAX_IMAGE_CHARACTERS} bytes"
    if size_bytes < model.context_tokens:  # there are hardly ever more tokens than bytes
        return None
    tokens = count_input(params, tokenizer(model.new_tokenizer))
    if tokens > model.context_tokens:
        return f"prompt is too long: {tokens} tokens > {model.context_tokens} maximum"
    return None


def _count(params: dict[str, Any], kind: str) -> int:
    return sum(block.get("type") == kind for block in _blocks(params))


def _image_sizes(params: dict[str, Any]) -> Iterator[int]:
    for block in _blocks(params):
        source = block.get("source") if block.get("type") == "image" else None
        data = source.get("data") if isinstance(source, dict) else None
        yield len(data) if isinstance(data, str) else 0


def _blocks(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    messages: Collection[Any] = params["messages"]
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            yield from (block for block in content if isinstance(block, dict))
