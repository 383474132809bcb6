"""The model of a run against what the API says of it, and the tokens that the API counts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import anthropic
import pytest
from upath import UPath

from nightpress.batches.model_api import LiveModel, SdkModelApi
from nightpress.errors import ConfigurationError
from nightpress.layout import DataRoot
from nightpress.models.request_options import resolve_options
from nightpress.runs.live_models import KEPT_SECONDS, check_model
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from tests.support.offline_api_server import LocalApiServer
from tests.support.priced_runs import PricedRuns

TODAY, NOW = date(2026, 11, 25), 1_795_600_000.0
BATCHES = {"batch": {"supported": True}}


class Api:
    """An API that lists what it is told to."""

    scope = "api.example"

    def __init__(self, *models: LiveModel, down: bool = False) -> None:
        self.models, self.down, self.asked = list(models), down, 0

    def list_models(self) -> list[LiveModel] | None:
        self.asked += 1
        return None if self.down else self.models

    def count_tokens(self, params: bytes) -> int | None:
        return None


def check(
    tmp_path: Path, api: Api | None, model: str = "claude-opus-5", now: float = NOW, **options: Any
) -> list[str]:
    asked = resolve_options(model, options.pop("max_tokens", 200), **options)
    return list(check_model(asked, TODAY, api, DataRoot(UPath(tmp_path)), now).notes)


def live(model: str = "claude-opus-5", **changes: Any) -> LiveModel:
    return LiveModel(model, **{"lifecycle": "active", "capabilities": BATCHES} | changes)


def test_an_active_model_needs_no_word(tmp_path: Path) -> None:
    assert check(tmp_path / "a", Api(live())) == []
    assert check(tmp_path / "b", Api(live("claude-haiku-4-5-20251001")), "claude-haiku-4-5") == []
    assert check(tmp_path, None) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (live(lifecycle="retired"), "the API says that claude-opus-5 is retired"),
        (live(capabilities={"batch": {"supported": False}}), "does not take batches"),
        (live(max_tokens=100), "at most 100 tokens"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_before_anything_is_sent(
    tmp_path: Path, found: LiveModel, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{words}.*Nothing was sent. Choose one of: claude-"):
        check(tmp_path, Api(found))


def test_a_model_that_is_retired_by_the_catalogue_is_refused_unless_the_api_says_otherwise(
    tmp_path: Path,
) -> None:
    options, root = resolve_options("claude-opus-4-5", 200), DataRoot(UPath(tmp_path))
    late = date(2027, 1, 22)
    with pytest.raises(ConfigurationError, match="retired since 2027-01-22"):
        check_model(options, late, None, root, NOW)
    assert check_model(options, late, Api(live("claude-opus-4-5")), root, NOW).notes == ()


def test_a_deprecated_or_unlisted_model_is_said(tmp_path: Path) -> None:
    old = live(lifecycle="deprecated", retires_at="2027-03-01T00:00:00Z")
    (note,) = check(tmp_path / "a", Api(old))
    assert "deprecated and is retired on 2027-03-01" in note
    (note,) = check(tmp_path / "b", Api(live("claude-opus-6")))
    assert "does not list claude-opus-5" in note


@pytest.mark.parametrize(
    "odd", [live(capabilities=None), live(capabilities={"batch": None}), live(lifecycle=None)]
)
def test_what_the_api_does_not_say_refuses_nothing(tmp_path: Path, odd: LiveModel) -> None:
    assert check(tmp_path, Api(odd)) == []


def test_the_room_for_thinking_must_fit_too(tmp_path: Path) -> None:
    """Else every request of a model that the catalogue does not know would fail."""
    small = live("of-my-gateway", max_tokens=4_096)
    with pytest.raises(ConfigurationError, match=r"room for thinking 8,192.*4,096 tokens, so set a smaller"):
        check(tmp_path, Api(small), "of-my-gateway")
    assert check(tmp_path, Api(small), "of-my-gateway", thinking_room=256) is not None


def test_the_api_is_asked_once_a_day_and_never_needed(tmp_path: Path) -> None:
    api = Api(live())
    check(tmp_path, api)
    check(tmp_path, api, now=NOW + KEPT_SECONDS - 1)
    assert api.asked == 1
    api.down = True
    assert check(tmp_path, api, now=NOW + KEPT_SECONDS + 1) == []
    assert api.asked == 2
    (kept,) = (tmp_path / "model_lists").iterdir()
    kept.write_bytes(b'{"asked_at": "never"')
    assert check(tmp_path, api) == []


def test_the_offline_api_lists_its_models_and_counts(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path / "api") as server:
        api = SdkModelApi(anthropic.Anthropic(api_key="k", base_url=server.base_url), "offline")
        models = api.list_models()
        assert models is not None
        assert {"claude-haiku-4-5", "claude-opus-5"} <= {model.id for model in models}
        assert all(model.takes_batches for model in models)
        asked = RequestTemplate("claude-opus-5", 10, PromptTemplate("{content}"))
        text = b'{"messages":[{"content":"One two three.","role":"user"}],"max_tokens":10,"model":"claude-opus-5"}'
        assert asked.model
        assert api.count_tokens(text) == 6 or (api.count_tokens(text) or 0) > 3
    # The server is gone: nothing is known, and nothing fails.
    assert (api.list_models(), api.count_tokens(text)) == (None, None)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 404, "body": "html"},
        {"kind": "drop"},
        {"kind": "redirect", "status": 308, "location": "http://127.0.0.1:1/elsewhere"},
    ],
)
def test_an_api_that_does_not_answer_is_done_without(tmp_path: Path, rule: dict[str, Any]) -> None:
    with LocalApiServer(tmp_path / "api") as server:
        server.faults(*({"endpoint": endpoint, **rule} for endpoint in ("models", "count_tokens")))
        runs = PricedRuns(server, tmp_path / "data")
        template = RequestTemplate("claude-opus-5", 50, PromptTemplate("{content}"))
        plan = runs.prepare(["One two three."] * 3, template).plan
        assert plan.cost_upper_usd is not None
        assert not any("counted" in note for note in plan.notes)


def test_a_run_that_only_plans_sends_no_article_anywhere(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path / "api") as server:
        runs = PricedRuns(server, tmp_path / "data")
        template = RequestTemplate("claude-opus-5", 50, PromptTemplate("{content}"))
        runs.prepare(["One two three."] * 3, template, plan_only=True)
        assert not any("count_tokens" in route for route in server.request_counts())
        runs.prepare(["One two three."] * 3, template)
        assert sum(count for route, count in server.request_counts().items() if "count_tokens" in route) == 3


def test_the_plan_compares_the_models_and_says_what_is_retired_soon(tmp_path: Path) -> None:
    with LocalApiServer(tmp_path / "api") as server:
        runs = PricedRuns(server, tmp_path / "data")
        template = RequestTemplate("claude-opus-4-5", 50, PromptTemplate("{content}"))
        plan = runs.prepare(["One two three."], template).plan
    names = [other.model for other in plan.other_models]
    assert names[0] == "claude-haiku-5-5"
    assert "claude-opus-4-5" not in names
    assert len(names) == 11
    uppers = [other.upper_usd for other in plan.other_models]
    assert None not in uppers
    assert uppers == sorted(uppers)  # type: ignore[type-var]
    assert any(
        "claude-opus-4-5 is retired on 2027-01-22" in note or "deprecated" in note for note in plan.notes
    )
