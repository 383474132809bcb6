"""What ``nightpress run`` prints: a live block on a terminal, plain lines anywhere else."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from launch.live_view import render_progress
from launch.progress import ShardProgress
from launch.reporter import Reporter

NOW = datetime(2026, 11, 23, 14, 5, 30, tzinfo=UTC)
FEW = [
    ShardProgress("shard", 0, "written", None, 10_000, "msgbatch_1"),
    ShardProgress("shard", 1, "waiting", datetime(2026, 11, 23, 14, 3, 10, tzinfo=UTC), 5),
]


def drawn(shards: list[ShardProgress], *, columns: int = 80, lines: int = 20) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, record=True, force_terminal=True)
    console.print(render_progress(shards, NOW, lines=lines))
    return [line.rstrip() for line in console.export_text().splitlines()]


def terminal(*, columns: int = 80, height: int = 24) -> tuple[Reporter, io.StringIO]:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=columns,
        height=height,
        force_terminal=True,
        markup=False,
        _environ={"TERM": "xterm"},
    )
    return Reporter(stream, console), stream


def test_few_shards_have_a_line_each_and_a_bar() -> None:
    first, second, last = drawn(FEW)
    assert first.split() == ["shard", "1", "written", "10,000", "articles", "msgbatch_1"]
    assert second.startswith("  shard 2  waiting since ") and second.endswith("5 articles")
    assert last.startswith("━") and last.endswith("shards written 1 of 2: 1 waiting")


def test_of_many_shards_those_at_work_are_shown() -> None:
    many = [ShardProgress("shard", n, "written" if n < 25 else "submitted") for n in range(60)]
    lines = drawn(many, columns=70)
    assert (len(lines), lines[0].split()) == (22, ["shard", "26", "submitted"])
    assert lines[-2] == "  and 15 more at work"
    assert lines[-1].endswith("shards written 25 of 60: 35 submitted")


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    assert max(map(len, drawn(FEW, columns=columns))) <= columns


def test_a_batch_id_cannot_drive_the_terminal() -> None:
    text = "\n".join(drawn([ShardProgress("shard", 0, "submitted", None, 1, "a\x1b[2Jb\u202ec")]))
    assert "a\\x1b[2Jb\\u202ec" in text


def test_on_a_terminal_the_block_is_redrawn_below_the_lines_that_stay() -> None:
    reporter, stream = terminal()
    reporter.status("starting Airflow")
    reporter.say("Airflow is up")
    reporter.show(FEW[:1])
    reporter.show(FEW)
    reporter.finish()
    reporter.say("Published\x1b[2J")
    text = stream.getvalue()
    assert text.index("Airflow is up") < text.index("msgbatch_1") < text.index("Published\\x1b[2J")
    # The cursor goes up over the earlier block before the next one is drawn.
    assert "\x1b[1A" in text.split("msgbatch_1")[1]
    assert text.rstrip().endswith("Published\\x1b[2J")


def test_a_status_that_is_over_leaves_no_line() -> None:
    reporter, stream = terminal()
    reporter.status("starting Airflow")
    reporter.status("")
    reporter.say("up")
    screen = stream.getvalue().rpartition("\x1b[2K")[2]
    assert "starting Airflow" not in screen and "up" in screen


def test_a_low_terminal_keeps_room_for_the_bar() -> None:
    reporter, stream = terminal(height=8)
    reporter.show([ShardProgress("shard", n, "submitted") for n in range(60)])
    assert "and 56 more at work" in stream.getvalue()
    reporter.finish()


def test_elsewhere_each_change_is_one_plain_line() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    for status in ("starting Airflow", "starting Airflow", "", "waiting"):
        reporter.status(status)
    reporter.show(FEW[:1])
    reporter.show(FEW[:1])
    reporter.say("done\x1b[2J")
    reporter.finish()
    first, second, third, last = stream.getvalue().splitlines()
    assert (first, second, last) == ("starting Airflow", "waiting", "done\\x1b[2J")
    assert third.endswith(" shard 1 of 1: written, 10,000 articles, msgbatch_1")
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("setting", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_pipe_gets_plain_lines_whatever_the_environment_says(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "1")
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.show(FEW)
    assert "\x1b" not in stream.getvalue()


class Gone(io.StringIO):
    """The output of a process whose reader has left."""

    def __init__(self, error: Exception, *, terminal: bool) -> None:
        super().__init__()
        self.error = error
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), ValueError("closed file")]
)
def test_a_reader_that_leaves_does_not_end_the_run(
    is_terminal: bool, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    reporter = Reporter(Gone(error, terminal=is_terminal))
    for _ in range(3):
        reporter.status("starting")
        reporter.show(FEW)
        reporter.say("still here")
        reporter.finish()
