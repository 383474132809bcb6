"""Every block of code in README and docs is run or checked here, or says why it is not.

Python blocks are executed inside a DAG, as they stand on the page. Of commands, `make` and `nightpress` are parsed by
the very parsers that would run them. A block that cannot be is marked on the line before it:
``<!-- not run: why -->``. Blocks of the language ``text`` or ``mermaid`` are shown, not run.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pandas
import pendulum
import pytest
import typer.main
from airflow.sdk import DAG, Asset, BaseNotifier, PartitionedAssetTimetable
from pydantic import BaseModel, Field

import message_batches
from launch.commands import app as checkout
from message_batches.command.main import build_command
from offline_api.__main__ import parse_arguments

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), PROJECT / "include/offline_api/README.md"])
FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n+(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```", re.M | re.S
)
INLINE = re.compile(r"`((?:nightpress|make) [^`]+)`")
MARKER = re.compile(r"<!-- not run: .{10,} -->")
SHOWN = ("text", "mermaid")
COMMANDS = ("console", "bash", "sh")
OTHERS = ("duckdb", "pip", "cp", "docker", "curl", ".venv/bin/pytest", ".venv/bin/pre-commit")
"""Programs of others, whose options are theirs."""

MAKE_ONLY = {"ARGS", "PYTHON", "RUNS", "SEED", "QUICK", "MINUTES", "RACES"}
PLACEHOLDERS = {"COMMAND", "SOURCE", "BATCH_ID", "KEY"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    :param marked: it says why it is not run.
    """

    page: str
    line: int
    kind: str
    text: str
    marked: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def iter_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        indent = len(found["indent"])
        lines = [line[indent:] for line in found["text"].splitlines()]
        place = text[: found.start("kind")].count("\n") + 1
        name = str(page.relative_to(PROJECT))
        yield Block(name, place, found["kind"], "\n".join(lines), bool(MARKER.search(found["before"])))


BLOCKS = [block for page in PAGES for block in iter_blocks(page)]
PYTHON = [block for block in BLOCKS if block.kind == "python" and not block.marked]
SHELL = [block for block in BLOCKS if block.kind in COMMANDS and not block.marked]


def iter_commands(block: Block) -> Iterator[str]:
    """Yield the commands of a block; in one with prompts, the other lines are what they print."""
    lines = re.sub(r" *\\\n\s*", " ", block.text).splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    for line in lines:
        if line.strip() and (line.startswith("$ ") or not prompted):
            yield line.removeprefix("$ ")


def test_every_block_is_of_a_kind_that_is_checked_or_is_marked() -> None:
    kinds = (*SHOWN, *COMMANDS, "python")
    assert [str(block) for block in BLOCKS if block.kind not in kinds and not block.marked] == []
    # A block that the pattern does not see would not be checked.
    for page in PAGES:
        fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(list(iter_blocks(page))), page


class Notice(BaseModel):
    headline: str


class ToldNotifier(BaseNotifier):
    """Stands for a notifier of a provider that is not installed here."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def notify(self, context: Any) -> None:
        """Tell nobody."""

    async def async_notify(self, context: Any) -> None:
        """Tell nobody."""


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a reader of the page has at that point."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTPRESS_ROOT", str(tmp_path))
    rows = {name: [1] for name in ("urgency", "topic", "refund_eur")}
    answers = pandas.DataFrame(
        {"article_id": ["a"], "status": ["succeeded"], "text": [""], "cost_usd": [0.0], **rows}
    )
    monkeypatch.setattr(pandas, "read_parquet", lambda path: answers)
    exported = {name: getattr(message_batches, name) for name in message_batches.__all__}
    return {
        **exported,
        "pandas": pandas,
        "pendulum": pendulum,
        "DAG": DAG,
        "Asset": Asset,
        "PartitionedAssetTimetable": PartitionedAssetTimetable,
        "BaseModel": BaseModel,
        "Field": Field,
        "Literal": Literal,
        "Notice": Notice,
        "PROMPT": "Say it.\n{content}",
        "STYLE_GUIDE": "Write plainly. " * 2_000,
        "my_function": lambda day: iter(()),
        "SmtpNotifier": ToldNotifier,
    }


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_runs_as_it_stands(
    block: Block, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, notifier in PROVIDERS.items():
        stub: Any = ModuleType(name)
        setattr(stub, notifier, ToldNotifier)
        monkeypatch.setitem(sys.modules, name, stub)
    page: Any = ModuleType("page_of_the_docs")
    vars(page).update(names)
    # A model's annotations are looked up in its module.
    monkeypatch.setitem(sys.modules, page.__name__, page)
    with DAG("docs", schedule=None):
        exec(compile(block.text, str(block), "exec"), vars(page))


def test_a_python_block_that_is_not_run_is_python_all_the_same() -> None:
    for block in BLOCKS:
        if block.kind == "python" and block.marked:
            ast.parse(block.text.replace("…", "..."))


PROVIDERS = {
    "airflow.providers.slack.notifications.slack_webhook": "SlackWebhookNotifier",
    "airflow.providers.smtp.notifications.smtp": "SmtpNotifier",
}

COMMAND: Any = typer.main.get_command(build_command(checkout))


def check_nightpress(words: list[str]) -> None:
    """Parse a command line as `nightpress` does; it raises what that would refuse."""
    if "--day" in words:
        words[words.index("--day") + 1] = "2026-11-22"
    words = ["x" if word in PLACEHOLDERS or "…" in word or "<" in word else word for word in words]
    group, parent = COMMAND, None
    while hasattr(group, "commands"):
        if not words or words[0] == "x":
            return  # any command
        if any(words[0] in option.opts for option in group.params):
            return  # of the command itself, such as --version
        if words[0].startswith("--") and "list" in group.commands:
            words = ["list", *words]
        assert words[0] in group.commands, words[0]
        parent = group.make_context(group.name, [words[0]], parent=parent, resilient_parsing=True)
        group, words = group.commands[words[0]], words[1:]
    if words and words != ["x"] and "--help" not in words:
        group.make_context(group.name, words, parent=parent)


def check_make(words: list[str]) -> None:
    """Make sure that a target exists, and that the command that it calls knows what it is given."""
    target, *given = words
    if "<" in target:
        return
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    rule = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert rule, f"make has no target {target}"
    called = re.search(r"\$\(NIGHTPRESS\) (\w+)", rule[1])
    options = []
    for word in given:
        name, separator, value = word.partition("=")
        assert separator, f"make {target} is given {word!r}"
        if name not in MAKE_ONLY:
            assert called, f"make {target} takes no {name}"
            options += ["x"] if (called[1], name) == ("look", "ARTICLES") else [f"--{name.lower()}={value}"]
    if called and called[1] not in {"run", "airflow"}:
        arguments = next((word.partition("=")[2] for word in given if word.startswith("ARGS=")), "")
        check_nightpress(
            [called[1], *(option.replace("_", "-") for option in options), *shlex.split(arguments)]
        )


def check_line(line: str) -> None:
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)  # the environment
    program, *rest = words
    if program == "make":
        check_make(rest or ["help"])
    elif program == "python":
        assert rest[:2] == ["-m", "offline_api"]
        if "--help" not in rest:
            parse_arguments(rest[2:])
    elif program == "nightpress":
        check_nightpress(rest)
    else:
        assert program in OTHERS, program


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_of_a_block_are_understood(block: Block) -> None:
    lines = list(iter_commands(block))
    assert lines
    for line in lines:
        check_line(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_inside_sentences_are_understood(page: Path) -> None:
    for line in INLINE.findall(page.read_text(encoding="utf-8")):
        check_line(line)


@pytest.mark.parametrize(
    "line", ["make rum", "make plan FORM=1", "nightpress prume", "nightpress prune --yes-please", "wget x"]
)
def test_the_check_finds_what_is_wrong(line: str) -> None:
    with pytest.raises(Exception):  # noqa: B017 - the parser's own classes are private
        check_line(line)


def test_commands_of_the_pages_on_what_is_stored_run(tmp_path: Path) -> None:
    """Those that change nothing are run whole, as a person would type them."""
    for block in SHELL:
        for line in iter_commands(block):
            words = shlex.split(line, comments=True)
            if words[:2] not in (["nightpress", "prune"], ["nightpress", "history"]):
                continue
            command = [
                sys.executable,
                "-m",
                "message_batches.command.main",
                *words[1:],
                "--root",
                str(tmp_path),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
            assert done.returncode == 0, (line, done.stderr)


def literals() -> str:
    """Return every text that the code can say, the parts of an f-string with … between them."""
    found = []
    for folder in ("include/nightpress", "plugins", "launch"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def test_every_message_on_the_page_of_troubles_is_one_of_the_codes() -> None:
    page = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    said = literals()
    rows = re.findall(r"^\| `([^`]+)` ([^|]*)\|", page, re.MULTILINE)
    assert len(rows) > 10
    unknown = [
        message
        for message, where in rows
        if "Airflow" not in where
        and not all(part.strip() in said for part in message.split("…") if part.strip())
    ]
    assert unknown == []


def coded_messages() -> dict[str, str]:
    """Return the message of each error that has a code, by its place."""
    found = {}
    for folder in ("include/nightpress", "plugins", "launch"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    not isinstance(node, ast.Call)
                    or not node.args
                    or not isinstance(node.args[0], ast.JoinedStr)
                ):
                    continue
                if any(
                    word.arg == "code" and isinstance(word.value, ast.Constant) and word.value.value
                    for word in node.keywords
                ):
                    parts = [
                        part.value if isinstance(part, ast.Constant) else "…" for part in node.args[0].values
                    ]
                    found[f"{path.name}:{node.lineno}"] = "".join(map(str, parts))
    return found


def test_every_error_with_a_code_is_on_the_page_of_troubles() -> None:
    page = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [
        [part.strip() for part in row.split("…") if part.strip()]
        for row in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    ]
    messages = coded_messages()
    assert len(messages) > 30
    missing = {
        place: text
        for place, text in messages.items()
        if not any(all(part in text for part in row) for row in rows)
    }
    assert missing == {}
