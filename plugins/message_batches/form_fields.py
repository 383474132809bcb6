"""The fields of the trigger form, each with a title and a sentence of help.

Airflow shows open what has no section, under *Run Parameters*; the others start collapsed, and one is open at a time.
So what most runs need has none: which articles, the question, the model and what it may cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Param

from nightpress.articles.reading_options import QUOTING
from nightpress.models.catalogue import EFFORTS
from nightpress.models.lookup import find_model, offered_ids
from nightpress.runs.ceilings import MAX_ANSWER_TOKENS, MAX_CHARACTERS, MAX_LIMIT, Ceilings
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS, DEFAULT_MAX_TOKENS, DEFAULT_MODEL

MAX_USD = 1_000_000.0
"""The highest amount that the form takes."""


@dataclass(frozen=True, slots=True)
class FormSection:
    """Makes the fields of one section.

    :param title: of the section; empty for what the form shows open.
    """

    title: str = ""

    def required(self, kind: str, title: str, description: str, value: object, **schema: Any) -> Param:
        """Return a field that must be filled in.

        :param kind: type of JSON.
        :param value: shown first.
        :param schema: more rules of JSON schema.
        """
        return self._make([kind], title, description, value, schema)

    def optional(self, kind: str, title: str, description: str, value: object = None, **schema: Any) -> Param:
        """Return a field that may be left empty; Airflow shows no red star with it."""
        return self._make(["null", kind], title, description, value, schema)

    def switch(self, title: str, description: str, value: object = False) -> Param:
        """Return a switch."""
        return self._make(["boolean", "null"], title, description, value, {})

    def amount(self, title: str, description: str, value: object, highest: float | None) -> Param:
        """Return a field for an amount in USD that may be left empty.

        :param highest: the most that may be entered; None allows every amount that the form takes.
        """
        most = MAX_USD if highest is None else highest
        return self.optional("number", title, description, value, exclusiveMinimum=0, maximum=most)

    def _make(
        self, kinds: list[str], title: str, description: str, value: object, schema: Mapping[str, Any]
    ) -> Param:
        place: dict[str, Any] = {"section": self.title} if self.title else {}
        kind = kinds if len(kinds) > 1 else kinds[0]
        return Param(value, type=kind, title=title, description=description, **place, **schema)


_OPEN = FormSection()
_MODEL = FormSection("More on model and answer")
_REUSE = FormSection("Answers that are there already")
_READING = FormSection("How the source is read")


def article_fields(shown: Mapping[str, object], ceilings: Ceilings) -> dict[str, Param]:
    """Return the fields that say which articles are read."""
    return {
        "source": _OPEN.optional(
            "string",
            "Source",
            "File, glob or folder of JSON, CSV, Parquet, Excel, XML …, here or on a store (s3://…); "
            "{day} is the day. Empty: what the pipeline reads every day.",
        ),
        "day": _OPEN.optional(
            "string",
            "Day",
            "The day to publish; an earlier publication of it is replaced. Empty: the run's own day.",
            format="date",
        ),
        "limit": _OPEN.optional(
            "integer",
            "Only the first …",
            "How many articles to read. The day is then published with only these. "
            + _when_empty(ceilings.limit, "all."),
            shown.get("limit"),
            minimum=1,
            maximum=ceilings.limit or MAX_LIMIT,
        ),
    }


def prompt_field(shown: Mapping[str, object]) -> dict[str, Param]:
    """Return the field for what the model is asked."""
    return {
        "prompt": _OPEN.required(
            "string",
            "Prompt",
            "The message that is sent for each article. {content} and, if you use them, {title}, {id} "
            "and other fields of the source are filled in.",
            shown.get("prompt", ""),
            format="multiline",
            minLength=1,
        )
    }


def model_field(shown: Mapping[str, object], ceilings: Ceilings) -> dict[str, Param]:
    """Return the list of models, with their prices."""
    model = str(shown.get("model", DEFAULT_MODEL))
    known = dict.fromkeys(ceilings.models or [model, *offered_ids()])
    return {
        "model": _OPEN.required(
            "string",
            "Model",
            "Prices are for batches: half the list price.",
            model,
            enum=list(known),
            values_display={name: _with_price(name) for name in known},
        )
    }


def answer_fields(shown: Mapping[str, object], ceilings: Ceilings) -> dict[str, Param]:
    """Return the fields that say how the model answers."""
    return {
        "other_model": _MODEL.optional(
            "string", "Another model", "Id of a model that is not in the list; wins over it."
        ),
        "max_tokens": _MODEL.required(
            "integer",
            "Longest answer",
            "In tokens; 100 tokens are about 75 English words. The plan's upper bound assumes this length for "
            "every answer. Tokens for thinking are added.",
            shown.get("max_tokens") or DEFAULT_MAX_TOKENS,
            minimum=1,
            maximum=ceilings.max_tokens or MAX_ANSWER_TOKENS,
        ),
        "thinking": _MODEL.required(
            "string",
            "Thinking",
            "Thinking is billed as output. The plan shows how many tokens are added for it.",
            shown.get("thinking", "off"),
            enum=["off", "auto"],
            values_display={"off": "off: the least that the model allows", "auto": "auto: the model decides"},
        ),
        "effort": _MODEL.optional(
            "string",
            "Effort",
            "How much work the model puts into an answer. Empty: the model's default. Not every model has every level.",
            shown.get("effort"),
            enum=[None, *EFFORTS],
        ),
    }


def spending_fields(shown: Mapping[str, object], ceilings: Ceilings) -> dict[str, Param]:
    """Return the fields that say what a run may cost."""
    return {
        "plan_only": _OPEN.switch("Plan only", "Read the articles, show the cost and stop. Nothing is sent."),
        "max_cost_usd": _OPEN.amount(
            "Budget (USD)",
            "If the run may cost more than this, it fails before anything is sent. "
            + _when_empty(ceilings.max_cost_usd, "no budget."),
            shown.get("max_cost_usd"),
            ceilings.max_cost_usd,
        ),
        "approve_above_usd": _OPEN.amount(
            "Ask me above (USD)",
            "If the run may cost more than this, it waits under Required Actions for a person's approval. "
            + _when_empty(ceilings.approve_above_usd, "it never waits."),
            shown.get("approve_above_usd"),
            ceilings.approve_above_usd,
        ),
    }


def reuse_fields(shown: Mapping[str, object]) -> dict[str, Param]:
    """Return the fields that say which earlier answers are used, and which may be replaced."""
    return {
        "fresh": _REUSE.switch(
            "Fresh answers",
            "Send requests again that were answered before, and pay again.",
            shown.get("fresh", False),
        ),
        "reuse_days": _REUSE.required(
            "integer",
            "Reuse answers of earlier days",
            "How many days back to look for answers to exactly the same request; they are copied and not paid for "
            "again. Answers of the day itself are always reused.",
            shown.get("reuse_days", 0),
            minimum=0,
            maximum=366,
        ),
        "lose_answers": _REUSE.switch(
            "Replace whatever was answered",
            "Publish the day even if it has fewer answers than the published one, or none. The earlier "
            "publication is kept; nightpress restore publishes it again.",
            shown.get("lose_answers", False),
        ),
    }


def field_fields(shown: Mapping[str, object]) -> dict[str, Param]:
    """Return the fields that say what is an article's title and content, and how much of it is sent."""
    return {
        "max_content_chars": _READING.optional(
            "integer",
            "Cut at",
            "Characters of each field that are sent; the plan says how many articles are cut. Empty: all.",
            shown.get("max_content_chars", DEFAULT_MAX_CONTENT_CHARS),
            minimum=1,
            maximum=MAX_CHARACTERS,
        ),
        "fields": _READING.optional(
            "object",
            "Names of the fields",
            'The source\'s names for them, such as {"id": "sku", "content": "body"}; a dotted path leads '
            "into objects. Empty: the usual names are searched, and the plan says which were found.",
            shown.get("fields"),
        ),
    }


def format_fields(shown: Mapping[str, object]) -> dict[str, Param]:
    """Return the fields that say how a file is written, instead of detecting it."""
    return {
        "encoding": _READING.optional(
            "string",
            "Encoding",
            "Of text files, such as cp1252, gb18030 or utf-16. Empty: it is detected.",
            shown.get("encoding"),
        ),
        "delimiter": _READING.optional(
            "string",
            "Delimiter",
            "The character between the values of a table; write tab for a tab. Empty: it is detected.",
            maxLength=3,
        ),
        "quoting": _READING.optional(
            "string",
            "Quoting",
            "How the values of a table are quoted. Empty: it is detected.",
            enum=[None, *QUOTING],
            values_display={
                "double": "double: values may stand in quotes",
                "none": "none: quotes are text",
                "backslash": "backslash: a backslash escapes inside quotes",
                "escaped": "escaped: no quotes, as MySQL and Postgres write",
            },
        ),
        "read_options": _READING.optional(
            "object",
            "Reading options",
            'Other settings that replace the detection: {"record_path": "data.items", "metadata": ["brand"]}. '
            "docs/sources.md lists all of them.",
            shown.get("read_options"),
        ),
    }


def _when_empty(ceiling: float | None, without: str) -> str:
    """Return what an empty field means."""
    if ceiling is None:
        return f"Empty: {without}"
    return f"At most {ceiling:g}, which is also taken when it is empty."


def _with_price(model: str) -> str:
    found = find_model(model)
    if found is None or found.batch_input_usd is None or found.batch_output_usd is None:
        return model
    prices = f"${found.batch_input_usd:.2f} in, ${found.batch_output_usd:.2f} out per million tokens"
    retires = f" · retires {found.retires}" if found.retires else ""
    return f"{model} · {prices}{retires}"
