"""Several prompts or models over the same articles: one pipeline for each, and their answers side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from airflow.sdk import Asset, TaskGroup

from message_batches.dag_context import current_dag
from message_batches.form import MODEL_PARAMS, with_form
from message_batches.operators import WriteComparisonOperator
from message_batches.parse_checks import ask_the_same, check_model_options
from message_batches.pipeline_tasks import FIRST_TO_SPEND, RETRIES, PipelineTasks, TaskOptions, add_tasks
from nightpress.errors import ConfigurationError
from nightpress.layout import check_pipeline_name
from nightpress.settings import DEFAULT_MAX_TOKENS, DEFAULT_MODEL
from nightpress.shards.column_names import RESERVED

VARIANT_OPTIONS = (
    "prompt",
    "system",
    "output",
    "cache",
    "model",
    "max_tokens",
    "thinking",
    "effort",
    "thinking_room",
    "request",
    "betas",
)
"""The options in which variants may differ; all others are shared, so that they read the same articles."""

MAX_VARIANTS = 8
COMPARE = "compare"

_IN_FORM = ("prompt", "model", "max_tokens", "thinking", "effort")
_DEFAULTS = {
    "model": DEFAULT_MODEL,
    "max_tokens": DEFAULT_MAX_TOKENS,
    "system": None,
    "output": None,
    "cache": False,
    "thinking": "off",
    "effort": None,
    "thinking_room": None,
    "request": None,
    "betas": (),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def message_batch_comparison(name: str, *, variants: Mapping[str, Mapping[str, Any]], **shared: Any) -> Asset:
    """Add a pipeline for each variant to the current DAG, and a task that compares their answers.

    Each is a whole :func:`message_batch_pipeline` called ``<name>_<variant>``, in a task group of its own: with
    its plan, batches, second round, published day and receipt. Nothing is sent before all plans are made, and
    nothing at all if one of them is over its budget or is rejected. **A budget is for each variant**: three variants
    may cost three times the budget.

    When all have published the day, ``comparisons/<name>/day=…/comparison.parquet`` has one row for each article,
    with one struct column for each variant, and ``reports/day=…/comparison-<name>.html`` tells what each cost, how
    long its answers are and where they agree.

    :param name: the comparison's name; the asset is named after it.
    :param variants: two to eight, by name, each with what it does differently: ``prompt``, ``system``, ``output``,
        ``cache``, ``model``, ``max_tokens``, ``thinking``, ``effort``, ``thinking_room``, ``request`` or ``betas``;
        ``{}`` is a variant without any difference. An option that all variants set is not in the form; one that only
        some set is in the form for the others. Outputs may differ: agreement compares the columns that all have with
        the same type.
    :param shared: any argument of :func:`message_batch_pipeline`, for all variants.
    :return: the asset that a written comparison updates, partition by day.
    :raises ConfigurationError: there are less than two variants, two are the same, or a name or option is invalid.
    """
    check_pipeline_name(name)
    settings = _check(name, variants, shared)
    dag = current_dag("message_batch_comparison")
    reading = {option: value for option, value in shared.items() if option not in {*_OF_TASKS, "models"}}
    form = with_form(
        _shown_in_form(variants, reading), _notes(variants), _left_out(variants), shared.get("models", ())
    )
    day = form["day"]
    tasks = {}
    for variant, own in settings.items():
        with TaskGroup(variant, dag=dag, tooltip=f"The pipeline {name}_{variant}"):
            tasks[variant] = _add_variant(f"{name}_{variant}", own, variants[variant], form, shared)
    for variant, pipeline in tasks.items():
        # Half a comparison is money lost: no variant is sent when another's plan fails, or is rejected.
        others = [other for other in tasks.values() if other is not pipeline]
        pipeline.approve.set_upstream([other.read for other in others])
        dag.get_task(f"{variant}.{FIRST_TO_SPEND}").set_upstream([other.approve for other in others])
    asset = Asset(name)
    WriteComparisonOperator(
        task_id=COMPARE,
        comparison=name,
        variants={variant: f"{name}_{variant}" for variant in variants},
        day=day,
        inlets=[variant.asset for variant in tasks.values()],
        outlets=[asset],
        **RETRIES,
    ).set_upstream([variant.publish for variant in tasks.values()])
    return asset


_SENT = ("thinking_room", "request", "betas")
"""Options of the requests that are no part of the form."""

_OF_TASKS = tuple(option.name for option in fields(TaskOptions))
"""Shared arguments that are no part of the form."""


def _add_variant(
    pipeline: str,
    settings: Mapping[str, Any],
    own: Mapping[str, Any],
    form: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> PipelineTasks:
    arguments = dict(form) | {option: settings[option] for option in (*_IN_FORM, *_SENT) if option in own}
    if "model" in own:
        # What a person chooses in the form is for the variants without a model of their own.
        arguments.pop("chosen_model", None)
    of_tasks = {option: shared[option] for option in _OF_TASKS if option in shared}
    of_tasks |= {option: settings[option] for option in ("system", "output", "cache")}
    # A variant's own value is the DAG file's; nobody else can change it, so nothing need limit it.
    freed = {option: None for option in ("max_tokens",) if option in own} | (
        {"models": ()} if "model" in own else {}
    )
    arguments["ceilings"] = replace(arguments["ceilings"], **freed)
    return add_tasks(pipeline, arguments, TaskOptions(**of_tasks))


def _shown_in_form(variants: Mapping[str, Mapping[str, Any]], reading: Mapping[str, Any]) -> dict[str, Any]:
    everywhere = {option for option in _IN_FORM if all(option in own for own in variants.values())}
    defaults = {"day": None, "limit": None, **{option: _DEFAULTS.get(option) for option in _IN_FORM}}
    defaults.pop("prompt")
    # What is not given limits nothing.
    defaults["max_tokens"] = None
    return {option: value for option, value in (defaults | dict(reading)).items() if option not in everywhere}


def _left_out(variants: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the form's params that no variant would take."""
    everywhere = [option for option in _IN_FORM if all(option in own for own in variants.values())]
    return [*everywhere, *(MODEL_PARAMS if "model" in everywhere else ())]


def _notes(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    count = len(variants)
    notes: dict[str, str] = {}
    for option in _IN_FORM:
        without = [variant for variant, own in variants.items() if option not in own]
        if 0 < len(without) < count:
            note = f"For {', '.join(without)}; the other variants have their own."
            notes |= dict.fromkeys(MODEL_PARAMS if option == "model" else [option], note)
    each = f"For each of the {count} variants: together they may cost {count} times as much."
    notes["max_cost_usd"] = f"{each} When one is over it, none is sent."
    notes["approve_above_usd"] = f"For each of the {count} variants; each is asked for by itself."
    return notes


def _check(
    name: str, variants: Mapping[str, Mapping[str, Any]], shared: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return all that can differ of each variant, its own and shared."""
    if not isinstance(variants, Mapping) or not 2 <= len(variants) <= MAX_VARIANTS:
        found = len(variants) if isinstance(variants, Mapping) else f"{variants!r:.40}"
        raise ConfigurationError(
            f"the variants of {name} are {found}; two to {MAX_VARIANTS} are needed, such as "
            '{"plain": {}, "persona": {"system": "…"}}'
        )
    _check_names(name, variants)
    settings: dict[str, dict[str, Any]] = {}
    for variant, own in variants.items():
        _check_options(variant, own)
        settings[variant] = _DEFAULTS | {o: shared[o] for o in VARIANT_OPTIONS if o in shared} | dict(own)
        if settings[variant].get("prompt") is None:
            raise ConfigurationError(
                f"variant {variant!r} has no prompt; give it one, or give prompt= to message_batch_comparison"
            )
        check_model_options(settings[variant])
        for other, others in settings.items():
            if other != variant and ask_the_same(others, settings[variant]):
                models = dict.fromkeys((others["model"], settings[variant]["model"]))
                named = f" ({' is '.join(models)})" if len(models) > 1 else ""
                raise ConfigurationError(
                    f"variants {other!r} and {variant!r} ask the very same{named}, and both would be paid for; leave "
                    "one out"
                )
    return settings


def _check_names(name: str, variants: Mapping[str, Any]) -> None:
    seen: dict[str, str] = {}
    for variant in variants:
        if not isinstance(variant, str) or not _NAME.fullmatch(variant):
            raise ConfigurationError(
                f"variant {variant!r:.60} cannot be called so: it names a column, a pipeline and a group of tasks; use "
                "a letter and up to 39 more letters, digits and _"
            )
        if variant.casefold() in {*RESERVED, COMPARE}:
            raise ConfigurationError(f"variant {variant!r} has a name that Nightpress uses itself; rename it")
        if variant.casefold() in seen:
            raise ConfigurationError(
                f"variants {seen[variant.casefold()]!r} and {variant!r} differ in case alone, and are one column to SQL"
            )
        seen[variant.casefold()] = variant
        check_pipeline_name(f"{name}_{variant}")


def _check_options(variant: str, own: Any) -> None:
    if not isinstance(own, Mapping):
        raise ConfigurationError(
            f"variant {variant!r} is {own!r:.40}; its options by name are needed, such as "
            '{"model": "claude-haiku-4-5"}, or {} for one that has nothing of its own'
        )
    unknown = sorted(str(option) for option in own if option not in VARIANT_OPTIONS)
    if unknown:
        raise ConfigurationError(
            f"variant {variant!r} has the option {unknown[0][:60]!r}; variants may differ in "
            f"{', '.join(VARIANT_OPTIONS)}. What decides which articles are read and what may be spent is the same "
            "for all: give it to message_batch_comparison"
        )
