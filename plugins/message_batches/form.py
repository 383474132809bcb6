"""The trigger form of a pipeline: its params, in four sections, with a word of help each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow.sdk import DAG, Param

from nightpress.articles.reading_options import QUOTING
from nightpress.models.catalogue import EFFORTS
from nightpress.models.lookup import find_model, offered_ids
from nightpress.runs.ceilings import MAX_ANSWER_TOKENS, MAX_CHARACTERS, MAX_LIMIT, Ceilings
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS, DEFAULT_MAX_TOKENS, DEFAULT_MODEL

_ARTICLES, _QUESTION, _MONEY, _READING = "1 · Articles", "2 · Question", "3 · Money", "4 · Reading"
_SWITCH = ["boolean", "null"]
"""Type of a switch; with null, Airflow shows no red star, as it does for what must be filled in."""

_SYSTEM_CHARS = 1_000
"""Characters of a system prompt that the form shows."""

MAX_USD = 1_000_000.0
"""The highest amount that the form takes."""


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
    form = _articles(shown, ceilings) | _question(shown, ceilings) | _money(shown, ceilings) | _reading(shown)
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


MODEL_PARAMS = ("model", "other_model")
"""The form's params that say which model answers."""

_ARGUMENTS = {"source": "chosen_source", "other_model": "chosen_model"}
"""Arguments that win over what the DAG file says, under the form's shorter names."""


def _articles(shown: Mapping[str, Any], ceilings: Ceilings) -> dict[str, Param]:
    return {
        "source": Param(
            None,
            type=["null", "string"],
            title="Source",
            section=_ARTICLES,
            description="File, glob or folder of JSON, CSV, Parquet, Excel, XML …, here or on a store (s3://…); "
            "{day} is the day. Empty: what the pipeline reads every day.",
        ),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            section=_ARTICLES,
            description="The day to publish; an earlier publication of it is replaced. Empty: the run's own day.",
        ),
        "limit": Param(
            shown.get("limit"),
            type=["null", "integer"],
            minimum=1,
            maximum=ceilings.limit or MAX_LIMIT,
            title="Only the first …",
            section=_ARTICLES,
            description="Articles to take; the day is then published with these alone. "
            + _empty(ceilings.limit, "all."),
        ),
    }


def _question(shown: Mapping[str, Any], ceilings: Ceilings) -> dict[str, Param]:
    model = shown.get("model", DEFAULT_MODEL)
    known = dict.fromkeys(ceilings.models or [model, *offered_ids()])
    return {
        "model": Param(
            model,
            type="string",
            enum=list(known),
            values_display={name: _with_price(name) for name in known},
            title="Model",
            section=_QUESTION,
            description="Prices are for batches: half the list price.",
        ),
        "other_model": Param(
            None,
            type=["null", "string"],
            title="Another model",
            section=_QUESTION,
            description="Id of a model that is not in the list; wins over it.",
        ),
        "prompt": Param(
            shown.get("prompt", ""),
            type="string",
            format="multiline",
            minLength=1,
            title="Prompt",
            section=_QUESTION,
            description="What is asked of each article. {content} and, if wanted, {title}, {id} "
            "and the source's own fields are filled in.",
        ),
        "max_tokens": Param(
            shown.get("max_tokens") or DEFAULT_MAX_TOKENS,
            type="integer",
            minimum=1,
            maximum=ceilings.max_tokens or MAX_ANSWER_TOKENS,
            title="Longest answer",
            section=_QUESTION,
            description="In tokens; 100 tokens are about 75 English words. The plan's upper bound rests on it. "
            "Thinking has room of its own.",
        ),
        "thinking": Param(
            shown.get("thinking", "off"),
            type="string",
            enum=["off", "auto"],
            values_display={"off": "off: the least that the model allows", "auto": "auto: the model decides"},
            title="Thinking",
            section=_QUESTION,
            description="Thinking is billed as output. The plan shows the room that is added for it.",
        ),
        "effort": Param(
            shown.get("effort"),
            type=["null", "string"],
            enum=[None, *EFFORTS],
            title="Effort",
            section=_QUESTION,
            description="How much work the model puts into an answer. Empty: the model's own. Not every model has all.",
        ),
    }


def _money(shown: Mapping[str, Any], ceilings: Ceilings) -> dict[str, Param]:
    return {
        "plan_only": Param(
            False,
            type=_SWITCH,
            title="Plan only",
            section=_MONEY,
            description="Read and count, tell the cost, and end there. Nothing is sent.",
        ),
        "max_cost_usd": Param(
            shown.get("max_cost_usd"),
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=_most(ceilings.max_cost_usd),
            title="Budget (USD)",
            section=_MONEY,
            description="If the run may cost more than this, it fails before anything is sent. "
            + _empty(ceilings.max_cost_usd, "no budget."),
        ),
        "approve_above_usd": Param(
            shown.get("approve_above_usd"),
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=_most(ceilings.approve_above_usd),
            title="Ask me above (USD)",
            section=_MONEY,
            description="If the run may cost more than this, it waits under Required Actions for a person's approval. "
            + _empty(ceilings.approve_above_usd, "it never waits."),
        ),
        "fresh": Param(
            shown.get("fresh", False),
            type=_SWITCH,
            title="Fresh answers",
            section=_MONEY,
            description="Ask again what was answered before, and pay again.",
        ),
        "reuse_days": Param(
            shown.get("reuse_days", 0),
            type="integer",
            minimum=0,
            maximum=366,
            title="Reuse answers of earlier days",
            section=_MONEY,
            description="Days before this one whose answers to exactly the same request are copied, not paid again. "
            "The day's own answers always are.",
        ),
        "lose_answers": Param(
            shown.get("lose_answers", False),
            type=_SWITCH,
            title="Replace whatever was answered",
            section=_MONEY,
            description="Publish the day even if it has fewer answers than what is published now, or none. The earlier "
            "publication is kept; nightpress restore brings it back.",
        ),
    }


def _reading(shown: Mapping[str, Any]) -> dict[str, Param]:
    return {
        "max_content_chars": Param(
            shown.get("max_content_chars", DEFAULT_MAX_CONTENT_CHARS),
            type=["null", "integer"],
            minimum=1,
            maximum=MAX_CHARACTERS,
            title="Cut at",
            section=_READING,
            description="Characters of each field that are sent; the plan says how many articles are cut. Empty: all.",
        ),
        "fields": Param(
            shown.get("fields"),
            type=["null", "object"],
            title="Names of the fields",
            section=_READING,
            description='What the source calls them, such as {"id": "sku", "content": "body"}; a dotted path leads '
            "into objects. Empty: the usual names are looked for, and the plan says which were found.",
        ),
        "encoding": Param(
            shown.get("encoding"),
            type=["null", "string"],
            title="Encoding",
            section=_READING,
            description="Of text files, such as cp1252, gb18030 or utf-16. Empty: it is detected.",
        ),
        "delimiter": Param(
            None,
            type=["null", "string"],
            maxLength=3,
            title="Delimiter",
            section=_READING,
            description="The character between the values of a table; tab for a tabulator. Empty: it is detected.",
        ),
        "quoting": Param(
            None,
            type=["null", "string"],
            enum=[None, *QUOTING],
            values_display={
                "double": "double: values may stand in quotes",
                "none": "none: quotes are text",
                "backslash": "backslash: a backslash escapes inside quotes",
                "escaped": "escaped: no quotes, as MySQL and Postgres write",
            },
            title="Quoting",
            section=_READING,
            description="How the values of a table are quoted. Empty: it is detected.",
        ),
        "read_options": Param(
            shown.get("read_options"),
            type=["null", "object"],
            title="Reading options",
            section=_READING,
            description='What else should not be detected: {"record_path": "data.items", "metadata": ["brand"]}. '
            "docs/sources.md has all of them.",
        ),
    }


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


def _empty(ceiling: float | None, without: str) -> str:
    """Return what an empty field means."""
    return (
        f"Empty: {without}"
        if ceiling is None
        else f"At most {ceiling:g}, which is also taken when it is empty."
    )


def _most(ceiling: float | None) -> float:
    return MAX_USD if ceiling is None else ceiling


def _with_price(model: str) -> str:
    found = find_model(model)
    if found is None or found.batch_input_usd is None or found.batch_output_usd is None:
        return model
    prices = f"${found.batch_input_usd:.2f} in, ${found.batch_output_usd:.2f} out per million tokens"
    retires = f" · retires {found.retires}" if found.retires else ""
    return f"{model} · {prices}{retires}"
