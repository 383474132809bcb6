from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from launch.environment import LaunchError
from launch.run_request import SAMPLE_MAX_TOKENS, Request, read_extra, read_form, read_request

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)


def read(folder: Path, **given: str) -> Request:
    values = {"articles": "", "day": "", "model": "", "limit": "", **given}
    return read_request(**values, project=folder, now=NOW)


def test_nothing_given_is_the_sample_and_yesterday(tmp_path: Path) -> None:
    sample = {"source": str(tmp_path / "include" / "sample"), "max_tokens": SAMPLE_MAX_TOKENS}
    assert read(tmp_path) == Request("2026-11-22", sample)


def test_a_model_that_is_not_in_the_list_goes_where_the_form_has_it(tmp_path: Path) -> None:
    assert read(tmp_path, model="claude-new-9").conf["other_model"] == "claude-new-9"


def test_only_what_is_given_goes_into_the_run(tmp_path: Path) -> None:
    file = tmp_path / "my articles.json"
    file.touch()
    request = read(tmp_path, articles=str(file), day="2026-02-28", model="claude-haiku-4-5", limit="10")
    assert request.day == "2026-02-28"
    assert request.conf == {"source": str(file), "model": "claude-haiku-4-5", "limit": 10}


def test_globs_and_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").touch()
    monkeypatch.chdir(tmp_path)
    assert read(tmp_path, articles="*.json").conf["source"] == str(tmp_path / "*.json")
    assert read(tmp_path, articles="s3://bucket/x").conf["source"] == "s3://bucket/x"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"day": "2026-02-30"}, "DAY is '2026-02-30'"),
        ({"day": "20261122"}, "DAY is '20261122'"),
        ({"day": "yesterday"}, "a date like 2026-11-22"),
        ({"articles": "nothing.json"}, "does not exist"),
        ({"articles": "nothing*.json"}, "matches no file"),
        ({"limit": "0"}, "LIMIT is '0'"),
        ({"limit": "ten"}, "1 or more"),
        ({"model": "claude-haiku-45"}, "MODEL: .* did you mean 'claude-haiku-4-5'"),
    ],
)
def test_wrong_input_says_what_would_be_right(tmp_path: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        read(tmp_path, **given)


@pytest.fixture(scope="module")
def dag() -> Any:
    from airflow.sdk import DAG, Param

    params = {
        "source": Param(None, type=["null", "string"]),
        "model": Param("claude-haiku-4-5", enum=["claude-haiku-4-5"]),
        "other_model": Param(None, type=["null", "string"]),
        "max_tokens": Param(200, type="integer", minimum=1),
        "max_cost_usd": Param(None, type=["null", "number"], exclusiveMinimum=0),
        "fresh": Param(False, type="boolean"),
        "fields": Param(None, type=["null", "object"]),
        "encoding": Param("utf-8", type="string"),
        "prompt": Param("Say it. {content}", type="string"),
        "delimiter": Param(None, type=["null", "string"]),
        "read_options": Param(None, type=["null", "object"]),
    }
    return DAG("tickets", schedule=None, params=params)


def test_any_field_of_the_form_is_read_as_its_type(dag: Any) -> None:
    given = {
        "articles": "s3://bucket/{day}.csv",
        "model": "claude-new-9",
        "max_tokens": "300",
        "max_cost_usd": "2.5",
        "fresh": "yes",
        "fields": '{"content": "body"}',
        "encoding": "cp1252",
        "limit": "",
    }
    assert read_form(dag, given, "2026-11-22") == Request(
        "2026-11-22",
        {
            "source": "s3://bucket/{day}.csv",
            "other_model": "claude-new-9",
            "max_tokens": 300,
            "max_cost_usd": 2.5,
            "fresh": True,
            "fields": {"content": "body"},
            "encoding": "cp1252",
        },
        "tickets",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"feilds": "{}"}, "no field FEILDS. Did you mean FIELDS"),
        ({"field": "x"}, "Did you mean FIELDS"),
        ({"pipelin": "tickets"}, "Did you mean PIPELINE"),
        ({"article": "x.csv"}, "Did you mean ARTICLES"),
        ({"limit": "5"}, "no field LIMIT"),
        ({"max_tokens": "many"}, "MAX_TOKENS is 'many'"),
        ({"max_tokens": "0"}, "MAX_TOKENS is '0'"),
        ({"max_cost_usd": "-1"}, "MAX_COST_USD is '-1'"),
        ({"fresh": "maybe"}, "FRESH is 'maybe'"),
        ({"articles": "nothing.json"}, "does not exist"),
        ({"model": "claude-haiku-4.5"}, "did you mean 'claude-haiku-4-5'"),
        ({"prompt": "Say hello."}, "PROMPT: the prompt has no {content}"),
        ({"prompt": '{"a": 1} {content}'}, "Write a literal brace twice"),
        ({"fields": '{"contents": "body"}'}, "FIELDS: .*'contents'.*; only id, title and content"),
        ({"encoding": "latin9999"}, "ENCODING: .*'latin9999', which Python does not know"),
        ({"delimiter": ";;"}, "DELIMITER: .*';;'"),
        ({"read_options": '{"delimeter": ";"}'}, "READ_OPTIONS: unknown reading options 'delimeter'"),
    ],
)
def test_what_the_form_does_not_take_is_refused(dag: Any, given: dict[str, str], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        read_form(dag, given, "2026-11-22")


def test_extra_options_are_fields() -> None:
    words = ["--MAX-TOKENS=300", "--prompt", "a = b", "--fields={}"]
    assert read_extra(words) == {"max_tokens": "300", "prompt": "a = b", "fields": "{}"}
    for wrong in (["tickets"], ["--model"], ["--"]):
        with pytest.raises(LaunchError, match="is not understood"):
            read_extra(wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--PIPELINE=article_sumaries"], "did you mean article_summaries"),
        (["--MAX_TOKENZ=3"], "Did you mean MAX_TOKENS"),
        (["--PIPELINE=translate", "--ARTICLES=nothing.json"], "does not exist"),
    ],
)
def test_make_run_refuses_what_it_does_not_know_before_it_starts(
    tmp_path: Path, words: list[str], message: str
) -> None:
    environment = {
        **os.environ,
        "NIGHTPRESS_HOME": str(tmp_path / "home"),
        "NIGHTPRESS_ROOT": str(tmp_path / "data"),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'include'}:{PROJECT / 'plugins'}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "launch", "run", *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr[-1000:]
    assert not (tmp_path / "home").exists()
