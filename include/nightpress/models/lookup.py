"""Find a model by its id, which may be known, misspelled, or new to the table."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from difflib import get_close_matches

from nightpress.errors import ConfigurationError
from nightpress.models.catalogue import CATALOGUE, OTHER_IDS, Model

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}")
_DATED = re.compile(r"(?P<id>.+)-20\d{6}")
_MODERN = re.compile(r"claude-(?P<family>[a-z]+)-(?P<version>\d(?:-\d)?)")
_SIMILAR = 0.8

UNKNOWN_MODEL = "unknown_model"
"""Code of the error for a model id that is a near miss of a known one."""


def find_model(model_id: str) -> Model | None:
    """Return a model of the catalogue by its id, dated or not; None when the catalogue does not have it.

    Nothing else is guessed: ``claude-haiku-4.5`` is not ``claude-haiku-4-5``.
    """
    if (model := CATALOGUE.get(model_id)) is not None:
        return model
    dated = _DATED.fullmatch(model_id)
    return CATALOGUE.get(dated["id"]) if dated else None


def suggest(model_id: str) -> str | None:
    """Return the id of the catalogue that was probably meant, or None when the id may be of another model.

    An id of a known family may be a new model if its version is newer than all in the catalogue. An id that differs
    from a known one only by spelling, or an older version that is not known, is a mistake.
    """
    if find_model(model_id) is not None or model_id in OTHER_IDS:
        return None
    spelled = _respell(model_id)
    if spelled in CATALOGUE:
        return spelled
    modern = _MODERN.fullmatch(_DATED.sub(r"\g<id>", model_id))
    if modern:
        siblings = [known for known in CATALOGUE if known.startswith(f"claude-{modern['family']}-")]
        if siblings and _version(model_id) > max(map(_version, siblings)):
            return None
        if not siblings and not get_close_matches(modern["family"], _families(), 1, _SIMILAR):
            return None
    close = get_close_matches(model_id.lower(), CATALOGUE, 1, _SIMILAR) or get_close_matches(
        spelled, CATALOGUE, 1, _SIMILAR
    )
    return close[0] if close else None


def assume_model(model_id: str) -> Model:
    """Return careful assumptions about a model that is not in the catalogue.

    Its price is not known, it may think whatever the request says, and no parameter is refused beforehand.
    """
    return Model(
        id=model_id,
        input_usd=None,
        output_usd=None,
        cache_read_multiplier=0.1,
        thinking_default="always",
        thinking_types=frozenset({"adaptive", "between_tools", "disabled", "enabled"}),
        default_effort="",
        chars_per_token=2.5,
        min_cached_tokens=4_096,
        sampling=True,
        offered=False,
        known=False,
    )


def get_model(model_id: str) -> Model:
    """Return a model of the catalogue, or careful assumptions about one that is new to it.

    :raises ConfigurationError: the id cannot be one, or is a near miss of a known one.
    """
    if not isinstance(model_id, str) or not _ID.fullmatch(model_id):
        such_as = _id_behind(model_id) or "claude-haiku-4-5"
        raise ConfigurationError(
            f"model is {model_id!r:.200}; use a model id such as {such_as}", code=UNKNOWN_MODEL
        )
    if (model := find_model(model_id)) is not None:
        return model if model.id == model_id else replace(model, id=model_id)
    if (meant := suggest(model_id)) is not None:
        raise ConfigurationError(
            f"there is no model {model_id!r}; did you mean {meant!r}? Known models: {', '.join(offered_ids())}",
            code=UNKNOWN_MODEL,
        )
    return assume_model(model_id)


def _id_behind(text: object) -> str | None:
    """Return the id of the catalogue that a text, without blanks around it, names exactly or nearly."""
    bare = text.strip() if isinstance(text, str) else ""
    return bare if bare in CATALOGUE else suggest(bare)


def offered_ids(today: date | None = None) -> list[str]:
    """Return the ids to choose from.

    :param today: leaves out the models that are retired by then; None leaves out none.
    """
    return [
        model.id
        for model in CATALOGUE.values()
        if model.offered and not (today and model.retires and model.retires <= today)
    ]


def _families() -> set[str]:
    return {model_id.split("-")[1] for model_id in CATALOGUE}


def _version(model_id: str) -> tuple[int, ...]:
    matched = _MODERN.fullmatch(_DATED.sub(r"\g<id>", model_id))
    return tuple(int(part) for part in matched["version"].split("-")) if matched else ()


def _respell(model_id: str) -> str:
    """Return an id as the catalogue would spell it, e.g. ``claude-haiku-4-5`` for ``Anthropic/Claude 4.5 Haiku``."""
    spelled = re.sub(r"[\s._@]+", "-", model_id.strip().lower()).rsplit("/", 1)[-1]
    # Other platforms' ids of the same models: eu.anthropic.claude-haiku-4-5-20251001-v1:0
    spelled = re.sub(r"^(?:[a-z]+-)?anthropic-", "", spelled)
    spelled = re.sub(r"-v\d+(:\d+)?$", "", spelled)
    spelled = _DATED.sub(r"\g<id>", spelled).removesuffix("-latest")
    words = [word for word in spelled.split("-") if word and word != "claude"]
    names = [word for word in words if not word.isdigit()]
    digits = "".join(word for word in words if word.isdigit())
    return "-".join(["claude", *names, *digits])
