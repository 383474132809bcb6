"""The trigger form, and what the reader makes of what it sends."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import BaseModel

from message_batches import config, message_batch_comparison, message_batch_pipeline
from nightpress.articles.article import ReadStats
from nightpress.errors import ConfigurationError
from nightpress.runs.ceilings import RunSettings

PROMPT = "Say it.\n{content}"
DECLARED: dict[str, Any] = {"max_cost_usd": 5.0, "approve_above_usd": 1.0, "max_tokens": 300, "limit": 1000}


def declare(**options: Any) -> DAG:
    with DAG("d", schedule=None) as dag:
        message_batch_pipeline("p", prompt=PROMPT, **options)
    return dag


def settings_of(dag: DAG, task_id: str = "read_articles", **given: Any) -> Any:
    """What the reader asks for when a run has these params."""
    task: Any = copy(dag.get_task(task_id))
    params = dag.params.dump() | given
    for name in ("model", "max_tokens", "limit", "max_cost_usd", "approve_above_usd", "chosen_model"):
        value = getattr(task, name)
        if hasattr(value, "_name"):
            setattr(task, name, params[value._name])
    run = SimpleNamespace(run_type="manual")
    return task._settings({"dag_run": run})


def open_source(task: Any) -> Any:
    """Return the source that a run of the day would read."""
    run: Any = SimpleNamespace(day="2026-11-22")
    return task._choose_source(None).open(run, lambda path: path, write=False)


@pytest.mark.parametrize("name", DECLARED)
@pytest.mark.parametrize("value", [None, 10**9])
def test_what_the_dag_file_declares_cannot_be_lifted(name: str, value: Any) -> None:
    if name == "max_tokens" and value == 10**9:
        value = 250_000
    if name == "limit" and value == 10**9:
        value = 10**8
    settings, _ = settings_of(declare(**DECLARED), **{name: value})
    expected = 200 if name == "max_tokens" and value is None else DECLARED[name]
    assert getattr(settings, name) == expected
    assert getattr(settings_of(declare(**DECLARED), **{name: 0.5 if "usd" in name else 7})[0], name) in {
        0.5,
        7,
    }


def test_the_form_itself_refuses_more_than_is_declared() -> None:
    dag = declare(**DECLARED)
    for name, most in DECLARED.items():
        param = dag.params.get_param(name)
        assert param.schema["maximum"] == most
        assert "t most" in (param.description or "") or name == "max_tokens"
    free = declare()
    assert free.params.get_param("limit").schema["maximum"] == 100_000_000
    assert free.params.get_param("max_tokens").schema["maximum"] == 300_000


def test_without_a_declaration_the_form_decides() -> None:
    settings, notes = settings_of(declare(), max_cost_usd=70, max_tokens=900, limit=None)
    assert (settings.max_cost_usd, settings.max_tokens, settings.limit, notes) == (70, 900, None, [])


def test_declared_models_are_the_only_ones() -> None:
    dag = declare(model="claude-haiku-5-5", models=["claude-haiku-5-5", "claude-haiku-4-5"])
    assert dag.params.get_param("model").schema["enum"] == ["claude-haiku-5-5", "claude-haiku-4-5"]
    assert settings_of(dag, model="claude-haiku-4-5")[0].model == "claude-haiku-4-5"
    assert "other_model" not in dag.params
    with pytest.raises(ConfigurationError, match="not one of those"):
        settings_of(dag, model="claude-opus-5")


def test_a_variants_own_setting_is_not_cut_to_the_shared_one() -> None:
    with DAG("d", schedule=None) as dag:
        message_batch_comparison(
            "c",
            prompt=PROMPT,
            max_tokens=100,
            max_cost_usd=2.0,
            variants={"plain": {}, "long": {"max_tokens": 500}},
        )
    assert settings_of(dag, "long.read_articles")[0].max_tokens == 500
    assert settings_of(dag, "plain.read_articles", max_tokens=400)[0].max_tokens == 100
    for variant in ("plain", "long"):
        assert settings_of(dag, f"{variant}.read_articles", max_cost_usd=None)[0].max_cost_usd == 2.0


class Told(BaseNotifier):
    """A notifier of one's own."""

    def notify(self, context: Any) -> None:
        """Nothing."""


def test_notifiers_are_told_of_approval_publication_and_failure_once_each() -> None:
    told = Told()
    dag = declare(notify=[told])
    assert dag.get_task("approve_plan").notifiers == [told]  # type: ignore[attr-defined]
    assert dag.get_task("publish").on_success_callback == [told]
    assert (dag.on_failure_callback, dag.has_on_failure_callback) == ([told], True)
    # Once a run, not once a shard.
    assert not any(task.on_failure_callback for task in dag.tasks)
    with DAG("d", schedule=None, on_failure_callback=print) as compared:
        message_batch_comparison(
            "c", prompt=PROMPT, notify=[told], variants={"a": {}, "b": {"max_tokens": 9}}
        )
    assert compared.on_failure_callback == [print, told]
    assert declare().on_failure_callback is None


def test_the_form_shows_the_system_prompt_and_the_answers_fields() -> None:
    class Label(BaseModel):
        topic: str
        severity: int

    dag = declare(system="You label.\nBe brief. " + "x" * 2_000, output=Label)
    shown = dag.params.get_param("prompt").schema["description_md"]
    assert "> You label.\n> Be brief." in shown
    assert "`topic`, `severity`" in shown
    assert len(shown) < 1_500
    schema = {"type": "object", "properties": {"tone": {"type": "string"}}}
    assert "`tone`" in declare(output=schema).params.get_param("prompt").schema["description_md"]
    assert "description_md" not in declare().params.get_param("prompt").schema


def test_switches_have_no_red_star() -> None:
    dag = declare()
    for name in ("plan_only", "fresh"):
        assert dag.params.get_param(name).schema["type"] == ["boolean", "null"]


def reader_of(dag: DAG, **given: Any) -> Any:
    """The reader as a run with these params renders it."""
    task: Any = dag.get_task("read_articles").prepare_for_execution()
    task.render_template_fields({"params": dag.params.dump() | given, "dag_run": SimpleNamespace(conf={})})
    return task


def test_the_form_says_how_the_source_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("Nr~Wörter\n1~'Größe' und\n".encode("cp1252"))
    dag = declare(source=str(tmp_path / "a.csv"))
    given = {"fields": {"content": "Wörter"}, "encoding": "cp1252", "delimiter": "~", "quoting": "none"}
    task = reader_of(dag, **given, read_options={"metadata": []}, max_content_chars=3)
    source = open_source(task)
    rows = list(source.iter_rows("2026-11-22", ReadStats()))
    assert [(row.content, row.metadata) for row in rows] == [("'Größe' und", {})]
    context = {"params": dag.params.dump(), "dag_run": SimpleNamespace(conf={})}
    template = task._template(context, RunSettings("claude-haiku-4-5", 100))
    assert template.prompt.max_content_chars == 3
    assert (
        reader_of(dag)._template(context, RunSettings("claude-haiku-4-5", 100)).prompt.max_content_chars
        == 2000
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fields": {"body": "x"}}, "only id, title and content"),
        ({"fields": {"content": 3}}, "must be the name of a field"),
        ({"fields": "content"}, "must be an object"),
        ({"encoding": "klingon"}, "Python does not know"),
        ({"delimiter": "ab"}, "one character"),
        ({"quoting": "sometimes"}, "must be one of double"),
        ({"read_options": {"delimeter": ";"}}, "unknown reading options 'delimeter'"),
        ({"read_options": {"columns": "id,content"}}, "must be a list of names"),
        ({"read_options": {"unfinished_line": "no"}}, "must be true or false"),
        ({"read_options": {"format": 3}}, "must be text"),
        ({"read_options": [1]}, "must be an object"),
        ({"max_content_chars": "many"}, "whole number"),
    ],
)
def test_what_the_form_cannot_mean_is_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    (tmp_path / "a.csv").write_text("id,content\n1,x\n")
    task = reader_of(declare(source=str(tmp_path / "a.csv")), **given)
    with pytest.raises(ConfigurationError, match=message):
        open_source(task)
        task._template({}, RunSettings("claude-haiku-4-5", 100))


def test_folders_of_a_list_of_sources_may_be_named_in_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTPRESS_ROOT", f"file://{tmp_path}/data")
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("id,content\n1,x\n")
    dag = declare(source=[f"{tmp_path}/one/", f"{tmp_path}/two/*.csv"])
    for name in ("one", "two"):
        task = reader_of(dag, source=f"{tmp_path}/{name}/a.csv")
        assert len(open_source(task).files) == 1
    with pytest.raises(ConfigurationError, match="not one that a trigger form may name"):
        open_source(reader_of(dag, source=f"{tmp_path}/three/a.csv"))


def test_an_unknown_connection_is_named_and_never_replaced_by_default_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(name: str) -> None:
        raise AirflowNotFoundException(name)

    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", unknown)
    monkeypatch.setattr(config, "ObjectStoragePath", lambda url: pytest.fail(f"{url} was opened"))
    with pytest.raises(ConfigurationError, match="the Airflow connection 'nope', which does not exist"):
        config.source_path("s3://nope@bucket/in/{day}/", "2026-11-22")
    monkeypatch.setenv("NIGHTPRESS_ROOT", "s3://nope@bucket/data")
    with pytest.raises(ConfigurationError, match="the Airflow connection 'nope', which does not exist"):
        config.data_root()


OPEN = [
    "source",
    "day",
    "limit",
    "prompt",
    "model",
    "plan_only",
    "max_cost_usd",
    "approve_above_usd",
]


def test_the_form_shows_open_and_first_what_most_runs_need() -> None:
    """Airflow opens the params without a section, and starts with all sections closed."""
    params = declare(
        system="Be brief.", output={"type": "object", "properties": {"tone": {"type": "string"}}}
    ).params
    schemas = {name: params.get_param(name).schema for name in params}
    assert list(schemas)[: len(OPEN)] == OPEN
    assert [name for name, schema in schemas.items() if "section" not in schema] == OPEN
    assert len({schema.get("section") for schema in schemas.values()}) == 4
    starred = [name for name, schema in schemas.items() if "null" not in schema["type"]]
    assert starred == ["prompt", "model", "max_tokens", "thinking", "reuse_days"]
    assert "Be brief." in schemas["prompt"]["description_md"]
    assert "`tone`" in schemas["prompt"]["description_md"]
