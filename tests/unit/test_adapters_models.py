"""Model, thinking, effort, further parameters and betas of a pipeline: what is refused when a DAG is parsed."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, Param

from message_batches import message_batch_comparison, message_batch_pipeline
from nightpress.errors import ConfigurationError

PROMPT = "Say it.\n{content}"
BUDGET = {"type": "enabled", "budget_tokens": 2_000}


def declare(**given: Any) -> DAG:
    with DAG("d", schedule=None, params={"wanted": Param("claude-opus-5", type="string")}) as dag:
        message_batch_pipeline("p", **{"prompt": PROMPT} | given)
    return dag


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "claude-haiku-4.5"}, "did you mean 'claude-haiku-4-5'"),
        ({"model": "claude-sonnet-5.5", "effort": "low"}, "did you mean 'claude-sonnet-5-5'"),
        ({"effort": "low"}, "claude-haiku-4-5 does not accept effort 'low'"),
        ({"model": "claude-opus-4-5", "effort": "max"}, "allowed: low, medium, high"),
        ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, "'disabled'; allowed: adaptive"),
        ({"model": "claude-opus-5", "thinking": BUDGET}, "does not accept thinking of type 'enabled'"),
        ({"thinking": "none"}, 'use "off", "auto"'),
        ({"thinking_room": 0}, "thinking_room is 0; it must be 1 token or more"),
        ({"thinking": BUDGET, "thinking_room": 256}, "which is the room"),
        ({"request": {"stream": True}}, "a batch does not stream"),
        ({"request": {"stop_sequence": ["x"]}}, "did you mean 'stop_sequences'"),
        ({"request": {"inference_geo": "us"}}, "only models from 4.6 on"),
        ({"model": "claude-opus-5", "request": {"temperature": 0}}, "default values only"),
        ({"betas": ["output-300k-2026-03-24"]}, "window of 1M"),
        ({"betas": "output-300k-2026-03-24"}, "use a list"),
        ({"max_tokens": 64_001}, "at most 64,000"),
        ({"max_token": 5}, "no argument 'max_token'; did you mean 'max_tokens'"),
        ({"sytem": "x"}, "no argument 'sytem'; did you mean 'system'"),
        ({"retry": 2}, "no argument 'retry'; did you mean 'retries'"),
        ({"zzz": 2}, "no argument 'zzz'; docs/reference.md"),
        ({"output": {"type": "strng"}}, "there are array, boolean, integer, number, object, string"),
    ],
)
def test_what_the_api_would_refuse_is_refused_when_the_dag_is_parsed(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        declare(**given)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"model": "claude-haiku-4.5"}, "did you mean 'claude-haiku-4-5'"),
        ({"effort": "max"}, "does not accept effort"),
        ({"thinking_room": "256"}, "1 token or more"),
        ({"request": {"speed": "fast"}}, "no fast mode"),
    ],
)
def test_a_variant_is_refused_alike(own: dict[str, Any], words: str) -> None:
    with DAG("d", schedule=None), pytest.raises(ConfigurationError, match=words):
        message_batch_comparison("duel", prompt=PROMPT, variants={"plain": {}, "other": own})


def test_what_the_file_asks_for_reaches_the_reader_and_the_form_shows_it() -> None:
    dag = declare(
        model="claude-opus-5",
        effort="medium",
        request={"stop_sequences": ["END"]},
        betas=["output-300k-2026-03-24"],
        max_tokens=1_000,
        thinking_room=256,
    )
    reader: Any = dag.get_task("read_articles")
    assert reader.thinking_room == 256
    assert (reader.request, list(reader.betas)) == ({"stop_sequences": ["END"]}, ["output-300k-2026-03-24"])
    assert dag.params["effort"] == "medium"
    assert dag.params["thinking"] == "off"


def test_an_object_for_thinking_is_the_files_own() -> None:
    dag = declare(thinking=BUDGET)
    reader: Any = dag.get_task("read_articles")
    assert reader.thinking == BUDGET
    assert "thinking" not in dag.params


def test_a_reference_is_left_for_the_run() -> None:
    dag = declare(model=declare().param("wanted"), effort="low")
    assert "model" not in dag.params


def test_the_form_lists_models_with_batch_prices_and_retirement() -> None:
    param = declare().params.get_param("model")
    shown = param.schema["values_display"]
    assert shown["claude-haiku-4-5"] == "claude-haiku-4-5 · $0.50 in, $2.50 out per million tokens"
    assert shown["claude-opus-4-5"].endswith("retires 2027-01-22")
    assert "claude-sonnet-4-5" not in param.schema["enum"]
    assert len(param.schema["enum"]) == 12


def test_variants_may_differ_in_thinking_effort_and_parameters() -> None:
    variants: dict[str, dict[str, Any]] = {
        "plain": {"model": "claude-opus-5"},
        "thinking": {"model": "claude-opus-5", "thinking": "auto", "effort": "low"},
        "stops": {"model": "claude-opus-5", "request": {"stop_sequences": ["END"]}},
        "roomy": {"model": "claude-opus-5-5", "thinking_room": 2_048},
    }
    with DAG("d", schedule=None) as dag:
        message_batch_comparison("duel", prompt=PROMPT, variants=variants, thinking_room=256)
    readers: dict[str, Any] = {name: dag.get_task(f"{name}.read_articles") for name in variants}
    assert (readers["thinking"].thinking, readers["thinking"].effort) == ("auto", "low")
    assert readers["stops"].request == {"stop_sequences": ["END"]}
    assert readers["plain"].request is None
    assert (readers["roomy"].thinking_room, readers["plain"].thinking_room) == (2_048, 256)
