"""The catalogue of models: ids that are known, meant or new, and what each model takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nightpress.errors import ConfigurationError
from nightpress.models.catalogue import CATALOGUE, COLUMN_SOURCES, EFFORTS, Model
from nightpress.models.lookup import find_model, get_model, offered_ids, suggest
from nightpress.models.request_options import resolve_options

ALWAYS = [model.id for model in CATALOGUE.values() if model.thinking_default == "always"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("claude-haiku-4.5", "claude-haiku-4-5"),
        ("claude-haiku-4_5", "claude-haiku-4-5"),
        ("claude-haiku-45", "claude-haiku-4-5"),
        ("claude-haiku-4-55", "claude-haiku-4-5"),
        ("claude-haiku-4-5-", "claude-haiku-4-5"),
        ("claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("claude-4-5-haiku", "claude-haiku-4-5"),
        ("Claude-Haiku-4-5", "claude-haiku-4-5"),
        ("haiku-4-5", "claude-haiku-4-5"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("anthropic.claude-haiku-4-5-v1:0", "claude-haiku-4-5"),
        ("claude-hiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-6", "claude-haiku-4-5"),
        ("claude-sonet-5", "claude-sonnet-5"),
        ("claude-sonnet-5.5", "claude-sonnet-5-5"),
        ("claude-opus5-5", "claude-opus-5-5"),
        ("claude-fable-5.1", "claude-fable-5-1"),
    ],
)
def test_a_near_miss_is_refused_with_what_was_meant(written: str, meant: str) -> None:
    assert find_model(written) is None
    assert suggest(written) == meant
    with pytest.raises(ConfigurationError, match=f"did you mean '{meant}'"):
        get_model(written)


@pytest.mark.parametrize(
    "written",
    ["claude-opus-6", "claude-opus-5-6", "claude-mythos-5", "claude-fable-5-2", "gateway/alias", "m"],
)
def test_what_may_be_a_new_model_is_taken_with_careful_assumptions(written: str) -> None:
    model = get_model(written)
    assert (model.known, model.input_usd, model.output_usd) == (False, None, None)
    options = resolve_options(written, 200)
    assert options.request_max_tokens > 200, "it may think"
    assert options.params() == {"model": written, "max_tokens": options.request_max_tokens}


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.id)
def test_every_model_is_found_by_its_id_and_dated_id(model: Model) -> None:
    assert find_model(model.id) is model
    assert suggest(model.id) is None
    dated = model.dated_id or f"{model.id}-20260901"
    assert find_model(dated) is model
    assert get_model(dated).id == dated, "what is sent is what was asked for"


def test_each_column_names_its_source() -> None:
    described = {name.strip() for names in COLUMN_SOURCES for name in names.split(",")}
    assert described == {field.name for field in fields(Model)} - {"offered", "known"}


def test_what_is_offered() -> None:
    assert "claude-sonnet-4-5" not in offered_ids()
    assert "claude-opus-4-5" in offered_ids(date(2027, 1, 21))
    assert "claude-opus-4-5" not in offered_ids(date(2027, 1, 22))


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 300, "claude\n", None, 7])
def test_what_can_be_no_id_is_refused(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="model is"):
        get_model(text)


@pytest.mark.parametrize(
    "written", ["claude-sonnet-5 ", " claude-sonnet-5", "claude-sonnet-5\n", " Claude-Sonnet-5"]
)
def test_a_blank_around_an_id_is_refused_with_what_was_meant(written: str) -> None:
    with pytest.raises(ConfigurationError, match=r"such as claude-sonnet-5$"):
        get_model(written)


@pytest.mark.parametrize(
    ("model", "parameter", "effort"),
    [
        ("claude-haiku-4-5", None, None),
        ("claude-haiku-5-5", {"type": "disabled"}, None),
        ("claude-sonnet-4-6", None, None),
        ("claude-sonnet-5", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", {"type": "between_tools"}, None),
        ("claude-opus-4-5", None, None),
        ("claude-opus-4-6", None, None),
        ("claude-opus-4-7", None, None),
        ("claude-opus-4-8", None, None),
        ("claude-opus-5", {"type": "disabled"}, None),
        ("claude-opus-5-5", None, "low"),
        ("claude-fable-5-1", None, "low"),
    ],
)
def test_off_asks_for_the_least_thinking_that_the_model_allows(
    model: str, parameter: Any, effort: str | None
) -> None:
    options = resolve_options(model, 200)
    assert (options.thinking.parameter, options.thinking.effort) == (parameter, effort)
    assert (options.request_max_tokens > 200) is (model in ALWAYS)
    params = options.params()
    assert params.get("thinking") == parameter
    assert params.get("output_config") == ({"effort": effort} if effort else None)


@pytest.mark.parametrize(
    "model", [model for model in CATALOGUE.values() if model.efforts], ids=lambda model: model.id
)
@pytest.mark.parametrize("effort", EFFORTS)
def test_auto_has_room_for_every_effort_the_model_takes(model: Model, effort: str) -> None:
    if effort not in model.efforts:
        with pytest.raises(
            ConfigurationError, match=f"{model.id} does not accept effort '{effort}'; allowed:"
        ):
            resolve_options(model.id, 200, thinking="auto", effort=effort)
        return
    options = resolve_options(model.id, 200, thinking="auto", effort=effort)
    thinks = model.thinking_default != "off" or "adaptive" in model.thinking_types
    assert (options.request_max_tokens > 200) is thinks
    assert options.params()["output_config"] == {"effort": effort}


def test_an_effort_joins_the_format_of_a_typed_answer() -> None:
    options = resolve_options("claude-sonnet-5", 200, effort="low")
    assert options.params({"format": {"type": "json_schema"}})["output_config"] == {
        "format": {"type": "json_schema"},
        "effort": "low",
    }


def test_room_for_thinking_never_goes_over_the_models_limit() -> None:
    options = resolve_options("claude-fable-5-1", 127_000, effort="max")
    assert options.request_max_tokens == 128_000
    assert (
        resolve_options("claude-opus-5", 300_000, betas=["output-300k-2026-03-24"]).request_max_tokens
        == 300_000
    )


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        (
            "claude-haiku-4-5",
            {"thinking": {"type": "adaptive"}},
            "claude-haiku-4-5 .*'adaptive'; allowed: disabled, enabl",
        ),
        ("claude-opus-4-5", {"thinking": {"type": "adaptive"}}, "does not accept thinking"),
        ("claude-haiku-5-5", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "'enabled'; allowed"),
        ("claude-sonnet-5", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "'enabled'"),
        (
            "claude-sonnet-5-5",
            {"thinking": {"type": "disabled"}},
            "'disabled'; allowed: adaptive, between_tools",
        ),
        ("claude-sonnet-5-5", {"thinking": {"type": "between_tools", "display": "omitted"}}, "'display'"),
        ("claude-opus-4-7", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "'enabled'"),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, "'disabled'; allowed: adaptive"),
        ("claude-fable-5-1", {"thinking": {"type": "disabled"}}, "'disabled'"),
        ("claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 1023}}, "1,024 or more"),
        ("claude-haiku-4-5", {"thinking": {"type": "enabled"}}, "budget_tokens is None"),
        ("claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 64_000}}, "at most 64,000"),
        ("claude-haiku-4-5", {"thinking": "none"}, 'use "off", "auto"'),
        ("claude-haiku-4-5", {"effort": "low"}, "no effort levels"),
        ("claude-opus-4-5", {"effort": "max"}, "allowed: low, medium, high"),
        ("claude-sonnet-4-6", {"effort": "xhigh"}, "allowed: low, medium, high, max"),
        ("claude-haiku-5-5", {"effort": "max"}, "up to 'high'"),
        ("claude-opus-5", {"effort": "xhigh"}, "up to 'high'"),
        ("claude-sonnet-5-5", {"effort": "max"}, "up to 'high'"),
        ("claude-opus-5", {"thinking": {"type": "disabled"}, "effort": "max"}, "up to 'high'"),
        ("claude-opus-5", {"effort": "hard"}, "does not accept effort"),
        ("claude-new-9", {"effort": "hard"}, "does not accept effort"),
        ("claude-haiku-4-5", {"max_tokens": 64_001}, "at most 64,000"),
        ("claude-opus-5", {"max_tokens": 128_001}, "at most 128,000"),
        ("claude-opus-5", {"max_tokens": 0}, "1 or more"),
        ("claude-opus-5", {"max_tokens": True}, "1 or more"),
        ("claude-haiku-4-5", {"betas": ["output-300k-2026-03-24"]}, "window of 1M"),
        ("claude-opus-5", {"betas": "output-300k-2026-03-24"}, "use a list"),
        ("claude-opus-5", {"betas": ["a,b"]}, "use a list"),
        ("claude-opus-5", {"betas": ["a\r\nx-api-key: 1"]}, "use a list"),
        ("claude-opus-5", {"request": {"stream": True}}, "must not set stream: a batch does not stream"),
        ("claude-opus-5", {"request": {"speed": "fast"}}, "no fast mode"),
        ("claude-opus-5", {"request": {"fallbacks": []}}, "answers such a request with an error"),
        ("claude-opus-5", {"request": {"max_tokens": 0}}, "use max_tokens="),
        ("claude-opus-5", {"request": {"model": "x"}}, "use model="),
        ("claude-opus-5", {"request": {"messages": []}}, "use prompt="),
        ("claude-opus-5", {"request": {"system": "x"}}, "use system="),
        ("claude-opus-5", {"request": {"thinking": {}}}, "use thinking="),
        ("claude-opus-5", {"request": {"output_config": {}}}, "use output="),
        ("claude-opus-5", {"request": {"stop_sequence": ["x"]}}, "did you mean 'stop_sequences'"),
        ("claude-opus-5", {"request": {"stop_sequences": "x"}}, "must be a list"),
        ("claude-opus-5", {"request": {"stop_sequences": [" "]}}, "not blank"),
        ("claude-opus-5", {"request": {"temperature": 0}}, "from 4.7 on"),
        ("claude-opus-5", {"request": {"top_k": 5}}, "from 4.7 on"),
        ("claude-opus-4-6", {"thinking": "auto", "request": {"temperature": 0.2}}, "cannot go with thinking"),
        ("claude-haiku-4-5", {"request": {"temperature": 2}}, "0 to 1"),
        ("claude-haiku-4-5", {"request": {"temperature": "hot"}}, "must be a number"),
        ("claude-haiku-4-5", {"request": {"temperature": 0, "top_p": 0.5}}, "not both"),
        ("claude-haiku-4-5", {"request": {"inference_geo": "us"}}, "only models from 4.6 on"),
        ("claude-opus-5", {"request": {"inference_geo": "eu"}}, "allowed: global, us"),
        ("claude-opus-5", {"request": {"tool_choice": {"type": "any"}}}, "needs tools"),
        (
            "claude-opus-5-5",
            {"request": {"tools": [{}], "tool_choice": {"type": "any"}}},
            "allowed: auto, none",
        ),
        (
            "claude-sonnet-5-5",
            {"request": {"tools": [{}], "tool_choice": {"type": "tool", "name": "x"}}},
            "allowed: auto",
        ),
        ("claude-opus-5", {"request": {"metadata": {1, 2}}}, "not JSON"),
        ("claude-opus-5", {"request": {"metadata": float("nan")}}, "not JSON"),
        ("claude-opus-5", {"request": ["temperature"]}, "parameters by name"),
        (
            "claude-haiku-4-5",
            {
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "request": {"tools": [{}], "tool_choice": {"type": "any"}},
            },
            "cannot go with thinking",
        ),
        ("claude-opus-5-5", {"thinking_room": 0}, "thinking_room is 0; it must be 1 token or more"),
        ("claude-opus-5-5", {"thinking_room": True}, "1 token or more"),
        ("claude-opus-5-5", {"thinking_room": "256"}, "'256'; it must be 1 token or more"),
        ("claude-haiku-4-5", {"thinking_room": -1}, "1 token or more"),
        (
            "claude-haiku-4-5",
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "thinking_room": 256},
            "budget_tokens 2,000, which is the room",
        ),
    ],
)
def test_what_the_api_answers_with_400_is_refused_and_says_what_is_allowed(
    model: str, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        resolve_options(model, **{"max_tokens": 200} | asked)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("claude-haiku-4-5", {"request": {"temperature": 0.2}}),
        ("claude-haiku-4-5", {"request": {"tools": [{}], "tool_choice": {"type": "any"}}}),
        (
            "claude-opus-5",
            {"request": {"temperature": 1.0, "stop_sequences": ["END"], "inference_geo": "us"}},
        ),
        ("claude-opus-5", {"request": {"brand_new": 1}, "betas": ["brand-new-2026-11-01"]}),
        ("claude-opus-5", {"request": {"metadata": {"user_id": "u"}, "service_tier": "auto"}}),
        ("claude-sonnet-5", {"effort": "max"}),
    ],
)
def test_what_the_api_takes_is_passed_on(model: str, asked: dict[str, Any]) -> None:
    options = resolve_options(model, 200, **asked)
    assert asked.get("request", {}).items() <= options.params().items()
    assert options.betas == tuple(asked.get("betas", ()))


def test_a_budget_for_thinking_leaves_the_answer_its_tokens() -> None:
    options = resolve_options("claude-haiku-4-5", 200, thinking={"type": "enabled", "budget_tokens": 2_000})
    assert options.request_max_tokens == 2_200


@pytest.mark.parametrize(
    ("model", "asked", "tokens"),
    [
        ("claude-opus-5-5", {}, 456),
        ("claude-opus-5-5", {"effort": "max"}, 456),
        ("claude-opus-5", {}, 200),
        ("claude-opus-5", {"thinking": "auto"}, 456),
        ("claude-opus-4-7", {"thinking": {"type": "adaptive"}}, 456),
        ("claude-haiku-4-5", {"thinking": "auto"}, 200),
        ("of-my-gateway", {}, 456),
    ],
)
def test_a_room_for_thinking_is_added_only_where_a_model_may_think(
    model: str, asked: dict[str, Any], tokens: int
) -> None:
    assert resolve_options(model, 200, thinking_room=256, **asked).request_max_tokens == tokens


def test_the_catalogue_imports_nothing_heavy() -> None:
    code = "import sys, nightpress.models.request_options as m; print(sorted(n for n in sys.modules if '.' not in n))"
    include = Path(__file__).resolve().parents[2] / "include"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=include, capture_output=True, text=True, check=True
    ).stdout
    assert not {"pydantic", "anthropic", "genai_prices", "pyarrow", "numpy", "airflow", "msgspec"} & set(
        eval(found)
    )
