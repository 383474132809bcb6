"""Check the model of a run against the API's own list before anything is spent.

The catalogue is a table in the code and becomes outdated. So ``GET /v1/models`` is called at most once a day
for each API and its answer stored under the data root. If the API fails, only the catalogue is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from nightpress.batches.model_api import LiveModel, ModelApi
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.models.lookup import find_model, offered_ids
from nightpress.models.request_options import RequestOptions
from nightpress.storage import INVALID_JSON, write_atomically

KEPT_SECONDS = 86_400.0
"""How long a stored list of models is used."""

MODEL_NOT_USABLE = "model_not_usable"
"""Error code for a model that is retired, or that batches do not support."""

_MAX_BYTES = 4_000_000


class _Kept(msgspec.Struct):
    asked_at: float
    models: list[LiveModel]


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Current facts about a run's model.

    :param notes: what a person should know before money is spent.
    """

    notes: Sequence[str] = ()


def check_model(
    options: RequestOptions,
    today: date,
    api: ModelApi | None,
    root: DataRoot,
    now: float,
    *,
    keep: bool = True,
) -> ModelCheck:
    """Check the model of a run against the API; where the API gives no answer, against the catalogue.

    :param api: None means not to call the API.
    :param now: epoch seconds.
    :param keep: False stores nothing.
    :raises ConfigurationError: the model is retired, or batches do not support it; nothing was sent.
    """
    model = options.model
    listed = _list_models(api, root, now, keep) if api is not None else None
    found = _find(listed, model.id)
    if found is None:
        if model.retires is not None and model.retires <= today:
            raise _unusable(f"{model.id} is retired since {model.retires}; the API refuses it", today)
        if not listed:
            return ModelCheck()
        return ModelCheck(
            [
                f"The API does not list {model.id} among this connection's models: its requests may all fail, which "
                "costs nothing."
            ]
        )
    if found.lifecycle == "retired":
        raise _unusable(f"the API says that {model.id} is retired", today)
    if found.takes_batches is False:
        raise _unusable(f"the API says that {model.id} does not take batches", today)
    # The list does not include limits that betas raise.
    if found.max_tokens and not options.betas and options.request_max_tokens > found.max_tokens:
        room = options.thinking.room_tokens
        more = f" and room for thinking {room:,}" if room else ""
        raise _unusable(
            f"max_tokens is {options.max_tokens:,}{more}; the API says that {model.id} answers with at most "
            f"{found.max_tokens:,} tokens{', so set a smaller thinking_room' if room else ''}",
            today,
        )
    if found.lifecycle == "deprecated":
        until = f" and is retired on {found.retires_at[:10]}" if found.retires_at else ""
        return ModelCheck(
            [f"The API says that {model.id} is deprecated{until}: choose another model before."]
        )
    return ModelCheck()


def _unusable(reason: str, today: date) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}. Nothing was sent. Choose one of: {', '.join(offered_ids(today))}", code=MODEL_NOT_USABLE
    )


def _find(listed: Sequence[LiveModel] | None, model_id: str) -> LiveModel | None:
    """Return the model with this id, with or without a date."""
    wanted = find_model(model_id)
    names = {model_id} | ({wanted.id, wanted.dated_id} if wanted is not None else set())
    found = [live for live in listed or () if live.id in names]
    return next((live for live in found if live.id == model_id), found[0] if found else None)


def _list_models(api: ModelApi, root: DataRoot, now: float, keep: bool) -> Sequence[LiveModel] | None:
    path = root.model_list(api.scope)
    try:
        content = path.read_bytes()
        kept = msgspec.json.decode(content, type=_Kept) if len(content) <= _MAX_BYTES else None
    except (OSError, *INVALID_JSON):
        kept = None
    if kept is not None and 0 <= now - kept.asked_at < KEPT_SECONDS:
        return kept.models
    models = api.list_models()
    if models is None:
        return kept.models if kept is not None and _is_recent(kept, now) else None
    if keep:
        write_atomically(path, msgspec.json.encode(_Kept(now, models)))
    return models


def _is_recent(kept: _Kept, now: float) -> bool:
    return 0 <= now - kept.asked_at < 30 * KEPT_SECONDS


def today_of(now: float) -> date:
    """Return the UTC date of a time in epoch seconds."""
    return datetime.fromtimestamp(now, UTC).date()
