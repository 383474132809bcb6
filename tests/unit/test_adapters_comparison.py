"""The declaration of a comparison: what is refused when a DAG is parsed, and what the form and tasks are."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, Param
from pydantic import BaseModel

from message_batches import message_batch_comparison
from nightpress.errors import ConfigurationError
from nightpress.runs.ceilings import RunSettings

PROMPT = "Say it.\n{content}"
TWO: dict[str, Any] = {"plain": {}, "persona": {"system": "You are a poet."}}

HAIKU = {"model": "claude-haiku-5-5"}


class Answer(BaseModel):
    topic: str


def declare(variants: Any = None, **given: Any) -> DAG:
    with DAG("d", schedule=None, params={"wanted": Param(None, type=["null", "string"])}) as dag:
        message_batch_comparison(
            given.pop("name", "duel"),
            variants=TWO if variants is None else variants,
            **{"prompt": PROMPT} | given,
        )
    return dag


@pytest.mark.parametrize(
    ("variants", "given", "named"),
    [
        ({}, {}, "are 0; two to 8"),
        ({"a": {}}, {}, "are 1; two to 8"),
        ({f"v{n}": {"max_tokens": n + 1} for n in range(9)}, {}, "are 9; two to 8"),
        (["a", "b"], {}, "two to 8"),
        ({"a": {}, "no name": {"model": "m"}}, {}, "'no name'"),
        ({"a": {}, "": {"model": "m"}}, {}, "''"),
        ({"a": {}, 3: {"model": "m"}}, {}, "variant 3"),
        ({"a": {}, "b" * 41: {"model": "m"}}, {}, "39 more"),
        ({"a": {}, "A": {"model": "m"}}, {}, "differ in case alone"),
        ({"a": {}, "Title": {"model": "m"}}, {}, "'Title'"),
        ({"a": {}, "compare": {"model": "m"}}, {}, "'compare'"),
        ({"a": {}, "b": {"modle": "m"}}, {}, "'modle'"),
        ({"a": {}, "b": {"source": "x"}}, {}, "same for all"),
        ({"a": {}, "b": {"max_cost_usd": 3}}, {}, "'max_cost_usd'"),
        ({"a": {}, "b": "claude"}, {}, "'b' is 'claude'"),
        ({"a": {}, "b": {}}, {}, "'a' and 'b' ask the very same"),
        ({"a": {}, "b": {"model": "claude-haiku-4-5"}}, {}, "'a' and 'b' ask the very same"),
        ({"a": {}, "b": {"max_tokens": 200}}, {}, "'a' and 'b' ask the very same"),
        ({"a": {}, "b": {"max_tokens": None}}, {}, "'a' and 'b' ask the very same"),
        ({"a": {"request": {}, "betas": []}, "b": {"request": None}}, {}, "'a' and 'b' ask the very same"),
        (
            {"a": {"output": Answer}, "b": {"output": Answer.model_json_schema()}},
            {},
            "'a' and 'b' ask the very",
        ),
        ({"a": {}, "b": {"thinking": {"type": "disabled"}}}, HAIKU, "'a' and 'b' ask the very same, and"),
        (
            {"a": {"model": "claude-haiku-4-5"}, "b": {"model": "claude-haiku-4-5-20251001"}},
            {},
            "very same (claude-haiku-4-5 is claude-haiku-4-5-20251001), and",
        ),
        ({"a": {"prompt": PROMPT}, "b": {"model": "m"}}, {"prompt": None}, "'b' has no prompt"),
        ({"a": {}, "b": {"prompt": "no field"}}, {}, "{content}"),
        ({"a": {}, "b": {"cache": True}}, {}, "cache needs system"),
        ({"a": {}, "b": {"max_tokens": 0}}, {}, "max_tokens is 0"),
        ({"a": {}, "b": {"output": {"type": "object", "properties": {"plain": {}}}}}, {}, "plain"),
        (None, {"name": "a/b"}, "'a/b'"),
        (None, {"name": "comparisons"}, "'comparisons'"),
        (None, {"name": "n" * 95}, "invalid pipeline name"),
    ],
)
def test_what_is_wrong_is_refused_when_the_dag_is_parsed(
    variants: Any, given: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(variants, **given)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        {"max_tokens": 201},
        {"thinking": "auto"},
        {"request": {"stop_sequences": ["END"]}},
        {"betas": ["some-beta-2026-01-01"]},
        {"output": Answer},
        {"prompt": f"{PROMPT} "},
        {"model": "claude-sonnet-5"},
    ],
    ids=str,
)
def test_what_makes_another_request_is_another_variant(other: dict[str, Any]) -> None:
    assert declare({"a": {}, "b": other}, **HAIKU).has_task("compare")


@pytest.mark.parametrize("asked", [None, "", 1_000_000, "1e9", 2.01, 0.5])
def test_no_form_raises_the_budget_of_any_variant(asked: object) -> None:
    """Whatever a variant sets itself, the budget and the approval are those of the DAG file."""
    variants = {
        "plain": {},
        "longer": {"max_tokens": 4_000},
        "larger": {"model": "claude-sonnet-5-5"},
        "asked_otherwise": {"prompt": "Otherwise.\n{content}", "system": "You are a poet."},
    }
    dag = declare(
        variants,
        max_cost_usd=2,
        approve_above_usd=1,
        max_tokens=300,
        limit=9,
        models=["claude-haiku-5-5"],
        **HAIKU,
    )
    for name in variants:
        reader: Any = dag.get_task(f"{name}.read_articles")
        settings, _ = reader.ceilings.apply(
            RunSettings.read(
                # What a variant sets itself is no part of the form.
                model=reader.model if name == "larger" else "claude-haiku-5-5",
                max_tokens=reader.max_tokens if name == "longer" else 100_000,
                max_cost_usd=asked,
                approve_above_usd=asked,
                limit=100_000,
            )
        )
        assert settings.max_cost_usd == (0.5 if asked == 0.5 else 2)
        assert settings.approve_above_usd == (0.5 if asked == 0.5 else 1)
        assert settings.limit == 9
        assert settings.max_tokens == (4_000 if name == "longer" else 300)
        if name != "larger":
            with pytest.raises(ConfigurationError, match="not one of those"):
                reader.ceilings.apply(
                    RunSettings.read(
                        model="claude-opus-5", max_tokens=1, max_cost_usd=1, approve_above_usd=1, limit=1
                    )
                )


def test_two_dated_ids_of_a_model_may_be_compared() -> None:
    models = ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20260301")
    assert declare({f"v{n}": {"model": model} for n, model in enumerate(models)}).has_task("compare")


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean .max_tokens"):
        declare(max_token=3)


def test_it_is_called_inside_a_dag() -> None:
    with pytest.raises(ConfigurationError, match="outside a DAG"):
        message_batch_comparison("duel", variants=TWO, prompt=PROMPT)


def test_each_variant_is_a_whole_pipeline_and_one_task_compares_them() -> None:
    dag = declare()
    steps = {"read_articles", "approve_plan", "collect_failures", "publish"}
    for variant in TWO:
        assert {f"{variant}.{step}" for step in steps} <= set(dag.task_ids)
        assert dag.get_task(f"{variant}.read_articles").pipeline == f"duel_{variant}"  # type: ignore[attr-defined]
        # Nothing is sent before all plans are made.
        assert {f"{variant}.read_articles" for variant in TWO} <= dag.get_task(
            f"{variant}.approve_plan"
        ).upstream_task_ids
        # … and none is rejected.
        submit = dag.get_task(f"{variant}.shard.submit_batch")
        assert {f"{variant}.approve_plan" for variant in TWO} <= submit.upstream_task_ids
    compare = dag.get_task("compare")
    assert {f"{variant}.publish" for variant in TWO} <= compare.upstream_task_ids
    assert [asset.name for asset in compare.outlets] == ["duel"]  # type: ignore[attr-defined]


def test_one_form_is_for_all_and_says_what_it_is_for() -> None:
    dag = declare({"plain": {}, "other": {"model": "claude-sonnet-5-5"}}, max_cost_usd=2)
    told = {name: dag.params.get_param(name).description or "" for name in dag.params}
    assert {
        "source",
        "day",
        "limit",
        "prompt",
        "model",
        "other_model",
        "max_cost_usd",
        "fresh",
    } <= told.keys()
    assert "For plain; the other variants" in told["model"]
    assert "For plain; the other variants" in told["other_model"]
    assert "each of the 2 variants" in told["max_cost_usd"]
    assert "each of the 2 variants" in told["approve_above_usd"]
    assert dag.params["max_cost_usd"] == 2
    plain, other = (dag.get_task(f"{name}.read_articles") for name in ("plain", "other"))
    assert (other.model, other.chosen_model) == ("claude-sonnet-5-5", None)  # type: ignore[attr-defined]
    assert plain.chosen_model is not None  # type: ignore[attr-defined]


def test_what_all_variants_set_themselves_is_not_in_the_form() -> None:
    dag = declare(
        {"a": {"prompt": "A {content}", "model": "m"}, "b": {"prompt": "B {content}", "model": "n"}},
        prompt=None,
        day=None,
        source="x.jsonl",
        fields={"id": "sku"},
    )
    assert not {"prompt", "model", "other_model"} & set(dag.params)
    readers = [dag.get_task(f"{name}.read_articles") for name in "ab"]
    assert [reader.prompt for reader in readers] == ["A {content}", "B {content}"]  # type: ignore[attr-defined]
    assert dag.params["fields"] == {"id": "sku"}  # what both ask the form for
    assert {reader.fields._name for reader in readers} == {"fields"}  # type: ignore[attr-defined]


def test_outputs_and_references_may_be_shared_or_not() -> None:
    with DAG("d", schedule=None, params={"wanted": Param(None, type=["null", "string"])}) as dag:
        message_batch_comparison(
            "duel",
            variants={"plain": {}, "typed": {"output": Answer, "max_tokens": 9}},
            prompt=PROMPT,
            day=dag.param("wanted"),
            source=dag.param("wanted"),
        )
    plain, typed = (dag.get_task(f"{name}.read_articles") for name in ("plain", "typed"))
    assert plain.schema is None  # type: ignore[attr-defined]
    assert [field.name for field in typed.schema.fields] == ["topic"]  # type: ignore[attr-defined]
    assert "day" not in dag.params
    assert typed.max_tokens == 9  # type: ignore[attr-defined]
    assert type(dag.get_task("compare").day).__name__ == "DagParam"  # type: ignore[attr-defined]
