"""A data root whose store is away: commands end soon, and say so."""

from __future__ import annotations

import socket
import threading

import pytest
from upath import UPath

from message_batches.command import connection
from message_batches.command.command_settings import CommandError
from tests.support.s3_server import options


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    path, end = UPath("memory://silent/root"), threading.Event()
    monkeypatch.setattr(type(path.fs), "info", lambda *_, **__: end.wait(60))
    try:
        with pytest.raises(CommandError, match=r"silent/root cannot be reached \(no answer in 0.1 s\)"):
            connection.check_answers(path, 0.1)
    finally:
        end.set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_an_s3_server_that_is_down_or_silent_is_named_without_credentials() -> None:
    pytest.importorskip("s3fs")
    with socket.socket() as silent:
        # It takes connections and says nothing.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = UPath("s3://bucket/root", **options(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(CommandError, match="s3://bucket/root cannot be reached") as caught:
            connection.check_answers(path, 0.5)
    assert "secret" not in str(caught.value)


def test_a_store_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    path = UPath("memory://refusing/root")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Forbidden")

    monkeypatch.setattr(type(path.fs), "info", refuse)
    with pytest.raises(CommandError, match="PermissionError: Forbidden"):
        connection.check_answers(path)


def test_a_root_that_is_empty_is_reachable() -> None:
    connection.check_answers(UPath("memory://empty/root"))
