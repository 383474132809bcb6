"""The request given to ``nightpress run``, checked before anything is started."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.environment import LaunchError
from message_batches.command.options import DEFAULT_PIPELINE
from nightpress.articles.reading_options import FieldMap, ReadOptions, check_encoding
from nightpress.errors import NightpressError
from nightpress.models.lookup import get_model, offered_ids
from nightpress.shards.prompts import PromptTemplate

if TYPE_CHECKING:
    from airflow.sdk import DAG

SAMPLE_MAX_TOKENS = 120
_OPTIONS = ("pipeline", "articles", "port")
"""Options of ``nightpress run`` that are not fields of a form."""

_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "model": get_model,
    "other_model": get_model,
    "prompt": lambda text: PromptTemplate(text, None),
    "fields": FieldMap.of,
    "read_options": ReadOptions.of,
    "encoding": check_encoding,
    "delimiter": lambda text: ReadOptions.of({"delimiter": text}),
}
"""Checks of values beyond the form's own."""

_YES, _NO = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


@dataclass(frozen=True, slots=True)
class Request:
    """The user's request.

    :param day: the partition, ``YYYY-MM-DD``.
    :param conf: parameters of the run, only those that were given.
    :param dag_id: of the DAG that holds the pipeline.
    """

    day: str
    conf: dict[str, Any]
    dag_id: str = DEFAULT_PIPELINE


def read_request(
    *, articles: str, day: str, model: str, limit: str, project: Path, now: datetime | None = None
) -> Request:
    """Check the user's values for the default pipeline; an empty string counts as not given.

    :param articles: file, folder, glob or URL (default: the bundled sample).
    :param day: (default: yesterday in UTC).
    :raises LaunchError: a value is wrong; the message has the value and what is allowed.
    """
    conf: dict[str, Any] = {"source": read_source(articles.strip()) or str(project / "include" / "sample")}
    if not articles.strip():
        # The sample's articles are short, and so are their summaries; the plan's upper bound rests on this.
        conf["max_tokens"] = SAMPLE_MAX_TOKENS
    if model.strip():
        conf["model" if model.strip() in offered_ids() else "other_model"] = model.strip()
    if limit.strip():
        conf["limit"] = _limit(limit.strip())
    return Request(read_run_day(day.strip(), now or datetime.now(UTC)), _checked(conf))


def read_form(dag: DAG, given: Mapping[str, str], day: str) -> Request:
    """Check fields of a pipeline's form, given as text; the pipeline reads its own source unless one is named.

    :param given: texts by field; ``articles`` is the field ``source``.
    :raises LaunchError: the form has no such field, or the value does not fit it.
    """
    texts = {{"articles": "source"}.get(name, name): text for name, text in given.items() if text}
    model = texts.get("model")
    if model and "other_model" in dag.params and model not in _choices(dag, "model"):
        texts["other_model"] = texts.pop("model")
    conf = {}
    for name, text in texts.items():
        if name not in dag.params:
            raise LaunchError(
                f"the form of {dag.dag_id} has no field {name.upper()}.{_suggest(name, dag)} It has: "
                f"{', '.join(sorted(param.upper() for param in dag.params))}"
            )
        conf[name] = read_source(text) if name == "source" else _read_value(dag, name, text)
    return Request(read_run_day(day, datetime.now(UTC)), _checked(conf), dag.dag_id)


def _checked(conf: dict[str, Any]) -> dict[str, Any]:
    """Return the fields; refuse at once what the first task would refuse a minute later.

    :raises LaunchError: a value is wrong; the message has the value and what is allowed.
    """
    for name, value in conf.items():
        if value is not None and (check := _CHECKS.get(name)) is not None:
            try:
                check(value)
            except NightpressError as error:
                shown = name.removeprefix("other_").upper()
                raise LaunchError(f"{shown}: {error}") from None
    return conf


def _suggest(name: str, dag: DAG) -> str:
    """Return a question that suggests a similar field (by name or title) or option."""
    titles = {
        str(dag.params.get_param(param).schema.get("title", ""))
        .partition(" (")[0]
        .lower()
        .replace(" ", "_"): param
        for param in dag.params
    }
    meant = titles | {known: known for known in (*dag.params, *_OPTIONS)}
    near = get_close_matches(name, meant, n=1)
    return f" Did you mean {meant[near[0]].upper()}?" if near else ""


def _choices(dag: DAG, name: str) -> Sequence[Any]:
    return dag.params.get_param(name).schema.get("enum") or () if name in dag.params else ()


def _read_value(dag: DAG, name: str, text: str) -> Any:
    param = dag.params.get_param(name)
    kinds = param.schema.get("type", "string")
    value = _convert(text, [kinds] if isinstance(kinds, str) else list(kinds))
    try:
        return param.resolve(value)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise LaunchError(f"{name.upper()} is {text!r:.100}, which the form refuses: {reason}") from None


def _convert(text: str, kinds: Sequence[str]) -> Any:
    """Convert a text to the first of the form's types that fits; the form itself checks the rest."""
    lowered = text.strip().lower()
    if "boolean" in kinds and lowered in (*_YES, *_NO):
        return lowered in _YES
    for kind, read in (("integer", int), ("number", float), ("object", json.loads), ("array", json.loads)):
        if kind in kinds:
            with suppress(ValueError):
                return read(text)
    return text


def read_extra(words: Sequence[str]) -> dict[str, str]:
    """Read ``--name=value`` and ``--name value`` as fields of the form.

    :raises LaunchError: an argument is neither.
    """
    fields: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, separator, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name or (not separator and not waiting):
            raise LaunchError(f"{word!r} is not understood; a field of the form is given as --name=value")
        fields[name.lower().replace("-", "_")] = value if separator else waiting.pop(0)
    return fields


def read_run_day(text: str, now: datetime) -> str:
    """Return the day to publish; an empty text means yesterday."""
    if not text:
        return (now.date() - timedelta(days=1)).isoformat()
    with suppress(ValueError):
        if date.fromisoformat(text).isoformat() == text:
            return text
    raise LaunchError(f"DAY is {text!r}; it must be a date like 2026-11-22")


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise LaunchError(f"LIMIT is {text!r}; it must be a whole number of articles, 1 or more")


def read_source(text: str) -> str:
    """Return a source with an absolute path; an empty text stays empty.

    :raises LaunchError: a path or glob that matches no file.
    """
    if not text or "://" in text or text.startswith("published:"):
        return text
    path = Path(text).expanduser().absolute()
    if path.exists() or "{day}" in text or (_is_glob(text) and _matches(path)):
        return str(path)
    what = "matches no file" if _is_glob(text) else "does not exist"
    raise LaunchError(f"ARTICLES is {text!r}, which {what} (looked for {path})")


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matches(pattern: Path) -> bool:
    relative = pattern.relative_to(pattern.anchor)
    return next(Path(pattern.anchor).glob(str(relative)), None) is not None
