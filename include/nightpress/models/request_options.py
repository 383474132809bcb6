"""The options of a pipeline's requests besides the prompt, checked and converted for the Messages API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nightpress.errors import ConfigurationError
from nightpress.models.catalogue import Model
from nightpress.models.lookup import get_model
from nightpress.models.parameters import check_betas, check_parameters, max_output_tokens
from nightpress.models.thinking import REFUSED_PARAMETER, Thinking, ThinkingSetting, resolve_thinking


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options as they are sent.

    :param model: what is known of the model.
    :param max_tokens: of the answer.
    :param thinking: what the request says about thinking.
    :param extra_parameters: other parameters of the request.
    :param betas: beta headers of the batch.
    """

    model: Model
    max_tokens: int
    thinking: Thinking
    extra_parameters: Mapping[str, object] = field(default_factory=dict)
    betas: tuple[str, ...] = ()

    @property
    def request_max_tokens(self) -> int:
        """``max_tokens`` of the request: the answer's, and room for thinking."""
        return self.max_tokens + self.thinking.room_tokens

    def params(self, output_format: Mapping[str, object] | None = None) -> dict[str, object]:
        """Return the request's params, all but ``system`` and ``messages``.

        :param output_format: the request's ``output_config`` for a typed answer, or None.
        """
        params: dict[str, object] = {
            **self.extra_parameters,
            "model": self.model.id,
            "max_tokens": self.request_max_tokens,
        }
        if self.thinking.parameter is not None:
            params["thinking"] = self.thinking.parameter
        output_config = dict(output_format or {})
        if self.thinking.effort is not None:
            output_config["effort"] = self.thinking.effort
        if output_config:
            params["output_config"] = output_config
        return params


def resolve_options(
    model_id: str,
    max_tokens: int,
    *,
    thinking: ThinkingSetting = "off",
    effort: str | None = None,
    thinking_room: int | None = None,
    request: Mapping[str, object] | None = None,
    betas: Sequence[str] = (),
) -> RequestOptions:
    """Check the options for a model, and return them as they are sent.

    :param max_tokens: of the answer, 1 or more; room for thinking is added to it.
    :param thinking: ``"off"``, ``"auto"`` or a ``thinking`` object.
    :param effort: effort level, or None.
    :param thinking_room: tokens added where the model may think; None goes by the effort.
    :param request: other parameters of the Messages API, by name.
    :param betas: names of betas, such as ``output-300k-2026-03-24``.
    :raises ConfigurationError: the API would answer 400; names model, parameter and what is allowed.
    """
    model = get_model(model_id)
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise ConfigurationError(f"max_tokens is {max_tokens!r:.60}; it must be 1 or more")
    if request is not None and not isinstance(request, Mapping):
        raise ConfigurationError(
            f'request is {request!r:.80}; use parameters by name, such as {{"stop_sequences": ["END"]}}',
            code=REFUSED_PARAMETER,
        )
    extra_parameters = _as_json(request or {})
    headers = check_betas(betas, model)
    resolved = resolve_thinking(
        model,
        thinking,
        effort,
        tools=bool(extra_parameters.get("tools")),
        thinking_room=thinking_room,
    )
    extended = resolved.parameter is not None and resolved.parameter.get("type") == "enabled"
    adapts = resolved.parameter is not None and resolved.parameter.get("type") == "adaptive"
    check_parameters(model, extra_parameters, headers, thinks=extended, adapts=adapts)
    return RequestOptions(
        model, max_tokens, _fit(model, max_tokens, resolved, headers, extended), extra_parameters, headers
    )


def _as_json(request: Mapping[str, object]) -> dict[str, object]:
    try:
        copied: dict[str, object] = json.loads(json.dumps(dict(request), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"request holds what is not JSON: {error}; use text, numbers, lists and dicts",
            code=REFUSED_PARAMETER,
        ) from None
    return copied


def _fit(model: Model, max_tokens: int, thinking: Thinking, betas: Sequence[str], extended: bool) -> Thinking:
    """Return the thinking with as much room as the model's limit of output tokens leaves."""
    limit = max_output_tokens(model, betas)
    needed = max_tokens + (thinking.room_tokens if extended else 0)
    if model.known and needed > limit:
        budget = f" and budget_tokens {thinking.room_tokens:,}" if extended else ""
        raise ConfigurationError(
            f"max_tokens is {max_tokens:,}{budget}; {model.id} answers with at most {limit:,} tokens",
            code=REFUSED_PARAMETER,
        )
    room = max(min(thinking.room_tokens, limit - max_tokens), 0)
    return Thinking(thinking.parameter, thinking.effort, room, thinking.note)
