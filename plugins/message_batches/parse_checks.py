"""What is refused when a DAG file is parsed: whatever is wrong with a pipeline's arguments before any run."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from message_batches.airflow_private import ResolveMixin
from message_batches.config import LATE_SCHEDULE
from message_batches.dag_context import is_reference
from nightpress.errors import ConfigurationError
from nightpress.settings import DEFAULT_MAX_TOKENS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from nightpress.outputs.output_schema import OutputSchema

_CHOICES = {"on_missing_day": ("fail", "skip", "publish_empty"), "late_schedule": LATE_SCHEDULE}


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of :class:`ReadArticlesOperator`, as far as they are known when the DAG is parsed.

    :raises ConfigurationError: naming the argument and what is allowed.
    """
    from nightpress.articles.reading_options import FieldMap, ReadOptions, check_encoding
    from nightpress.runs.ceilings import Ceilings
    from nightpress.shards.prompts import PromptTemplate

    share = arguments["max_rejected_share"]
    if not 0 <= share <= 1:
        raise ConfigurationError(f"max_rejected_share is {share}; it must be 0 to 1")
    if isinstance(arguments["prompt"], str):
        longest = arguments["max_content_chars"]
        PromptTemplate(arguments["prompt"], None if is_reference(longest) else longest)
    if arguments["cache"] and not arguments["system"]:
        raise ConfigurationError("cache needs system: the shared part of the prompts is what is cached")
    if not is_reference(arguments["fields"]):
        FieldMap.of(arguments["fields"])
    if not is_reference(arguments["read_options"]):
        ReadOptions.of(arguments["read_options"] or {})
    if arguments["encoding"] and not is_reference(arguments["encoding"]):
        check_encoding(arguments["encoding"])
    check_model_options(arguments)
    Ceilings.declared(arguments)
    for name, allowed in _CHOICES.items():
        if arguments[name] not in allowed:
            raise ConfigurationError(f"{name} is {arguments[name]!r}; use one of: {', '.join(allowed)}")


def check_names(given: Iterable[str], *callables: Callable[..., object]) -> None:
    """Refuse arguments that nothing takes, before Airflow does so without naming what there is.

    :param callables: what takes the arguments; similar names are suggested from the first ones but the last, which
        is Airflow's own.
    :raises ConfigurationError: naming the argument and the most similar one.
    """
    names = [list(inspect.signature(one).parameters) for one in callables]
    known = {name for some in names for name in some}
    for name in given:
        if name not in known and not name.startswith("_"):
            ours = [near for some in names[:-1] for near in some]
            near = difflib.get_close_matches(name, ours, 1) or difflib.get_close_matches(name, names[-1], 1)
            meant = f"; did you mean {near[0]!r}?" if near else "; docs/reference.md lists them all"
            raise ConfigurationError(f"a pipeline has no argument {name!r}{meant}")


def check_model_options(options: Mapping[str, Any]) -> None:
    """Refuse what the API would refuse, as far as it is known when the DAG is parsed.

    :param options: ``model``, ``max_tokens``, ``thinking``, ``effort``, ``thinking_room``, ``request`` and ``betas``; a
        reference to a param is left for the run, and what the form shows first is checked where the form is made.
    :raises ConfigurationError: naming model, parameter and what is allowed.
    """
    from nightpress.models.request_options import resolve_options

    known = {
        name: value
        for name in ("model", "max_tokens", "thinking", "effort", "thinking_room", "request", "betas")
        if (value := options.get(name)) is not None and not isinstance(value, ResolveMixin)
    }
    if any(isinstance(value, str) and "{{" in value for value in known.values()) or not isinstance(
        known.get("model"), str
    ):
        return
    resolve_options(**{"max_tokens": DEFAULT_MAX_TOKENS} | {"model_id": known.pop("model")} | known)


def ask_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two sets of options make the same requests, also where they say it in different words.

    A model's id with and without its date is one model. What only the run knows is compared as it stands.

    :param one: ``prompt``, ``system``, ``output``, ``cache`` and what :func:`check_model_options` takes.
    """
    if one == other:
        return True
    if one["prompt"] != other["prompt"] or not (_is_known(one) and _is_known(other)):
        return False
    models = {one["model"], other["model"]}
    bare = {_without_date(model) for model in models}
    if len(bare) > 1 or (len(models) > 1 and not models & bare):
        return False
    (model,) = bare
    return _sent_beside_article(one, model) == _sent_beside_article(other, model)


def _is_known(options: Mapping[str, Any]) -> bool:
    of_the_run = any(
        isinstance(value, ResolveMixin) or (isinstance(value, str) and "{{" in value)
        for name, value in options.items()
        if name not in {"prompt", "system"}
    )
    return isinstance(options["model"], str) and not of_the_run


def _without_date(model_id: str) -> str:
    from nightpress.models.lookup import find_model

    model = find_model(model_id)
    return model.id if model is not None else model_id


def _sent_beside_article(options: Mapping[str, Any], model: str) -> tuple[object, ...]:
    # Not by RequestTemplate, which imports too much for a DAG file.
    from nightpress.models.request_options import resolve_options

    resolved = resolve_options(
        model,
        options["max_tokens"] or DEFAULT_MAX_TOKENS,
        thinking=options["thinking"],
        effort=options["effort"],
        thinking_room=options["thinking_room"],
        request=options["request"],
        betas=options["betas"],
    )
    schema = read_schema(options["output"])
    return resolved, options["system"], bool(options["cache"]), schema.digest if schema is not None else None


def read_schema(output: type[BaseModel] | Mapping[str, Any] | None) -> OutputSchema | None:
    """Return the schema of an ``output``.

    :raises ConfigurationError: the API or Parquet cannot express it; names the field by its path.
    """
    if output is None:
        return None
    from nightpress.outputs.output_schema import OutputSchema
    from nightpress.shards.column_names import RESERVED

    return OutputSchema.of(output, RESERVED)
