"""The trigger form of a pipeline, and what its tasks take from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow.sdk import DAG

from message_batches.airflow_private import ResolveMixin
from message_batches.dag_context import current_dag
from message_batches.form_fields import (
    answer_fields,
    article_fields,
    field_fields,
    format_fields,
    model_field,
    prompt_field,
    reuse_fields,
    spending_fields,
)
from nightpress.runs.ceilings import Ceilings
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS
from nightpress.shards.prompts import PromptTemplate

MODEL_PARAMS = ("model", "other_model")
"""The form's params that say which model answers."""

_ARGUMENTS = {"source": "chosen_source", "other_model": "chosen_model"}
"""Arguments that win over what the DAG file says, under the form's shorter names."""

_SYSTEM_CHARS = 1_000
"""Characters of a system prompt that the form shows."""


def with_form(
    asked: dict[str, Any],
    notes: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
    models: Sequence[str] = (),
    beside_prompt: str = "",
) -> dict[str, Any]:
    """Add the trigger form to the DAG, and return the reader's arguments: references to the form's params.

    :param notes: what is added to the help of a param, by name.
    :param left_out: params that this form does not have.
    :param models: the only models that the form offers; empty offers all.
    :param beside_prompt: Markdown that is shown with the prompt.
    """
    ceilings = Ceilings.declared(asked, models)
    dag = current_dag("message_batch_pipeline")
    references = {
        # An object for thinking is the DAG file's; the form has no field for one.
        name: value
        for name, value in asked.items()
        if isinstance(value, ResolveMixin) or (name == "thinking" and isinstance(value, Mapping))
    }
    if isinstance(asked.get("prompt"), str):
        PromptTemplate(asked["prompt"], asked.get("max_content_chars", DEFAULT_MAX_CONTENT_CHARS))
    shown = {name: value for name, value in asked.items() if name not in references}
    skip = {*references, *left_out, *(["other_model"] if models else [])}
    form = add_form(dag, shown, ceilings, skip=skip, notes=notes, beside_prompt=beside_prompt)
    return shown | form | references | {"ceilings": ceilings}


def add_form(
    dag: DAG,
    shown: Mapping[str, Any],
    ceilings: Ceilings,
    *,
    skip: Collection[str] = (),
    notes: Mapping[str, str] | None = None,
    beside_prompt: str = "",
) -> dict[str, Any]:
    """Add the params of a pipeline to its DAG, and return references to them.

    A param that the DAG has already stays as it is.

    :param shown: what the form shows first, by name.
    :param ceilings: the most that the form lets a person ask for.
    :param skip: names that are no part of the form, since their value comes from elsewhere.
    :param beside_prompt: Markdown that is shown with the prompt: what else is sent with it.
    :param notes: what is added to the help of a param, by name.
    :return: arguments of :class:`ReadArticlesOperator`.
    """
    form = article_fields(shown, ceilings)
    form |= prompt_field(shown) | model_field(shown, ceilings) | spending_fields(shown, ceilings)
    form |= answer_fields(shown, ceilings) | reuse_fields(shown) | field_fields(shown) | format_fields(shown)
    if beside_prompt:
        # Airflow shows this in place of the description.
        form["prompt"].schema["description_md"] = f"{form['prompt'].description}\n\n{beside_prompt}"
    names = [name for name in form if name not in skip]
    for name in names:
        if name not in dag.params:
            note = (notes or {}).get(name)
            form[name].description = f"{form[name].description} {note}" if note else form[name].description
            dag.params[name] = form[name]
    return {_ARGUMENTS.get(name, name): dag.param(name) for name in names}


def describe_request(system: str | None, output: object) -> str:
    """Return as Markdown what is sent beside the prompt: the system prompt's start and the fields of the answer."""
    parts = []
    if system:
        shown = system[:_SYSTEM_CHARS] + (" …" if len(system) > _SYSTEM_CHARS else "")
        parts.append(
            "Sent with it as the system prompt:\n\n" + "\n".join(f"> {line}" for line in shown.splitlines())
        )
    properties = output.get("properties") if isinstance(output, Mapping) else None
    fields = getattr(output, "model_fields", None) or properties or {}
    if fields:
        names = ", ".join(f"`{name}`" for name in fields)
        parts.append(f"The answer has the fields {names}; each is a column.")
    return "\n\n".join(parts)
