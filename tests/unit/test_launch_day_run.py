from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from launch.day_run import SAMPLE_MAX_TOKENS, Request, read_request
from launch.environment import LaunchError

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
    ],
)
def test_wrong_input_says_what_would_be_right(tmp_path: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        read(tmp_path, **given)
