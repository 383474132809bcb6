"""``python -m launch.ledger [list|show|adopt|discard]``: the ledger of batches, seen and mended by hand.

Exit code: 0 fine, 1 refused (nothing was changed), 2 the command line or the surroundings are wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from launch.environment import LaunchError
from message_batches.command import connection
from nightpress.batches import manual_ledger
from nightpress.batches.ledger import Ledger
from nightpress.errors import ConfigurationError, NightpressError

if TYPE_CHECKING:
    from upath import UPath

    from nightpress.batches.batch import Batch
    from nightpress.storage import StoragePath

COMMANDS = ("list", "show", "adopt", "discard")
_QUESTIONS_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in (*COMMANDS, "-h", "--help"):
        words.insert(0, "list")
    options = _parser().parse_args(words)
    try:
        settings = connection.read_settings()
        root = connection.open_root(settings, options.root) / "ledger"
        return int(globals()[f"_{options.command}"](options, root, settings))
    except (LaunchError, ConfigurationError) as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    except NightpressError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return 0


def _list(options: argparse.Namespace, root: UPath, settings: Mapping[str, str]) -> int:  # noqa: ARG001
    lines = [line for line in manual_ledger.iter_lines(root) if _is_wanted(line, options)]
    lines.sort(key=lambda line: (line.scope, line.entry.day, line.entry.pipeline, line.entry.uri))
    now = time.time()
    questions = [question for line in lines if (question := manual_ledger.explain(line, now))]
    if options.json:
        print(json.dumps(_as_json(lines, questions, now), indent=2))
        return 0
    if not lines:
        print(_say_empty(options, root))
        return 0
    _print_questions(questions)
    _print_table(lines, now)
    return 0


def _is_wanted(line: manual_ledger.Line, options: argparse.Namespace) -> bool:
    wanted = {"open", "damaged"} if options.open else ({options.state} if options.state else set())
    return (
        (not wanted or line.state in wanted)
        and options.pipeline in {"", line.entry.pipeline}
        and options.day in {"", line.entry.day}
        and options.api in {"", line.scope}
    )


def _say_empty(options: argparse.Namespace, root: UPath) -> str:
    if any((options.open, options.state, options.pipeline, options.day, options.api)):
        what = "Nothing is open" if options.open else "No shard of the ledger is like that"
        return f"{what} (looked in {_plain(root)}). Without filters, all shards are listed."
    return (
        f"The ledger is empty ({_plain(root)}): nothing was ever submitted from this data root. "
        "Publish a day with `make run`, or name another root with NIGHTPRESS_ROOT."
    )


def _plain(path: StoragePath) -> str:
    return path.path if path.protocol in {"", "file", "local"} else str(path)


def _print_questions(questions: list[manual_ledger.Question]) -> None:
    if not questions:
        return
    print(f"{len(questions)} open question(s): a batch may exist and be paid for that nobody collects.\n")
    for question in questions[:_QUESTIONS_SHOWN]:
        print(f"  {question.key[:16]}  seen:    {question.seen}")
        print(f"  {'':16}  next:    {question.next}")
        print(f"  {'':16}  you can: {question.options}\n")
    if len(questions) > _QUESTIONS_SHOWN:
        print(
            f"  … and {len(questions) - _QUESTIONS_SHOWN} more; `--open` lists them, `show KEY` explains one\n"
        )


def _print_table(lines: list[manual_ledger.Line], now: float) -> None:
    head = ("key", "state", "pipeline", "day", "requests", "batch", "age", "attempts", "api")
    rows = [_row(line, now) for line in lines]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = {"requests", "age", "attempts"}
    for row in (head, *rows):
        cells = (
            f"{text:>{width}}" if name in right else f"{text:<{width}}"
            for name, text, width in zip(head, row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())
    counts = Counter(line.state for line in lines)
    states = ", ".join(
        f"{counts[state]:,} {_state(state)}" for state in manual_ledger.STATES if counts[state]
    )
    requests = sum(line.entry.requests for line in lines)
    shards = "1 shard" if len(lines) == 1 else f"{len(lines):,} shards"
    print(f"\n{shards}, {requests:,} requests: {states}")


def _row(line: manual_ledger.Line, now: float) -> tuple[str, ...]:
    entry = line.entry
    return (
        *(entry.key[:16], _state(line.state), entry.pipeline or "-", entry.day or "-"),
        *(f"{entry.requests:,}", (entry.batch_id or "-") + (" (adopted)" if entry.adopted else "")),
        *(_age(line.since, now), str(len(entry.attempts)), line.scope),
    )


def _state(state: str) -> str:
    return state.upper() if state in {"open", "damaged"} else state


def _age(since: float | None, now: float) -> str:
    if since is None:
        return "-"
    seconds = max(0, int(now - since))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _as_json(
    lines: list[manual_ledger.Line], questions: list[manual_ledger.Question], now: float
) -> dict[str, Any]:
    entries = [
        {"api": line.scope, "state": line.state, "age_seconds": line.since and round(now - line.since, 3)}
        | {"entry": msgspec.to_builtins(line.entry)}
        | ({"problem": line.problem} if line.problem else {})
        for line in lines
    ]
    return {
        "entries": entries,
        "totals": {state: sum(line.state == state for line in lines) for state in manual_ledger.STATES},
        "requests": sum(line.entry.requests for line in lines),
        "questions": [
            {"key": question.key, "seen": question.seen, "next": question.next, "options": question.options}
            for question in questions
        ],
    }


def _show(options: argparse.Namespace, root: UPath, settings: Mapping[str, str]) -> int:  # noqa: ARG001
    line = manual_ledger.find_line(root, options.key, options.api)
    entry, now = line.entry, time.time()
    batches = Ledger(root, line.scope).batches_of(entry.key)
    if options.json:
        print(json.dumps(_as_json([line], [], now)["entries"][0] | {"owns": batches}, indent=2))
        return 0
    question = manual_ledger.explain(line, now)
    _print_questions([question] if question else [])
    facts = [
        ("key", entry.key),
        ("api", line.scope),
        ("state", _state(line.state)),
        ("requests", f"{entry.requests:,}, {entry.bytes:,} bytes"),
        ("pipeline", f"{entry.pipeline or '-'}, day {entry.day or '-'}, run {entry.run or '-'}"),
        (
            "batch",
            (entry.batch_id or "-") + (" (adopted: its POST was never answered)" if entry.adopted else ""),
        ),
        ("owns", ", ".join(batches) or "no batch"),
        ("earlier", ", ".join(entry.earlier) + " (bought nothing)" if entry.earlier else "-"),
        ("submitted", manual_ledger.utc(entry.submitted_at)),
        ("ended", manual_ledger.utc(entry.ended_at)),
        ("collected", manual_ledger.utc(entry.collected_at)),
    ]
    facts += [(name, _say_file(uri)) for name, uri in _files(line)]
    for name, value in facts:
        print(f"{name:<10} {value}")
    for attempt in entry.attempts:
        detail = f": {attempt.detail}" if attempt.detail else ""
        print(
            f"{'attempt':<10} {attempt.number} at {manual_ledger.utc(attempt.at)}, {attempt.outcome}{detail}"
        )
    if not entry.attempts:
        print(f"{'attempt':<10} none: it was never POSTed")
    return 0


def _files(line: manual_ledger.Line) -> list[tuple[str, str]]:
    entry = line.entry
    found = [("body", entry.uri), ("raw", entry.raw or ""), ("results", entry.results or "")]
    return [(name, uri) for name, uri in found if uri]


def _say_file(uri: str) -> str:
    try:
        path = connection.open_path(uri)
        return f"{uri} ({path.stat().st_size:,} bytes)" if path.exists() else f"{uri} (GONE)"
    except (OSError, LaunchError) as error:
        return f"{uri} (cannot be looked at: {error})"


def _adopt(options: argparse.Namespace, root: UPath, settings: Mapping[str, str]) -> int:
    line = manual_ledger.find_line(root, options.key, options.api)
    api = connection.connect(settings, line.scope, base_url=options.base_url, api_key=options.api_key)
    ledger = Ledger(root, line.scope)
    batch, proved = manual_ledger.adopt(line, options.batch_id, api, ledger, unproved=options.unproved)
    short = line.entry.key[:16]
    if proved:
        print(
            f"Shard {short} is batch {batch.id}: the same number of requests, and its results name this shard."
        )
    else:
        print(
            f"Shard {short} is batch {batch.id} on your word: the same number of requests, but it is "
            f"{batch.processing_status} and cannot be proved. If it is another's, this shard's articles come out as "
            "missing, and a batch of its own that may exist is paid for and never collected."
        )
    print(
        "Clear submit_batch of the shard, or run the day again: it attaches to this batch and pays nothing."
    )
    return 0


def _discard(options: argparse.Namespace, root: UPath, settings: Mapping[str, str]) -> int:
    line = manual_ledger.find_line(root, options.key, options.api)
    ledger, now = Ledger(root, line.scope), time.time()
    short = line.entry.key[:16]
    batches = manual_ledger.check_discard(line, ledger, now, even_submitted=options.even_submitted)
    print(
        f"Discarding shard {short} ({_state(line.state)}, {line.entry.requests:,} requests) sends it AGAIN."
    )
    print("If a batch of it exists, its articles are paid for twice.")
    for batch_id in batches:
        print(f"  It has batch {batch_id}: paid for; its results stay at the API for 29 days.")
    if line.state in {"open", "intended"}:
        _print_candidates(line, ledger, options, settings, now)
    if not options.yes:
        print("Nothing was changed. To do it: the same command with --yes.", file=sys.stderr)
        return 1
    aside = manual_ledger.discard(line, ledger, now, even_submitted=options.even_submitted)
    print(f"Set aside: {_plain(aside)}")
    print("Clear submit_batch of the shard, or run the day again, to send it.")
    return 0


def _print_candidates(
    line: manual_ledger.Line,
    ledger: Ledger,
    options: argparse.Namespace,
    settings: Mapping[str, str],
    now: float,
) -> None:
    import anthropic

    try:
        api = connection.connect(settings, line.scope, base_url=options.base_url, api_key=options.api_key)
        if api.scope != line.scope:
            raise LaunchError(f"the connection is to {api.scope}, the shard was sent to {line.scope}")
        found = manual_ledger.find_candidates(line.entry, api, ledger, now)
    except (LaunchError, anthropic.AnthropicError) as error:
        print(f"  The API's list could NOT be looked at ({str(error)[:300]}): a batch may exist unseen.")
        return
    if not found:
        print("  The API's list has no batch of as many requests since the first POST that no shard owns.")
    for batch in found:
        print(f"  could be its batch: {_describe(batch)}")


def _describe(batch: Batch) -> str:
    created = f"{batch.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{batch.id}, {batch.request_counts.total:,} requests, {batch.processing_status}, created {created}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launch.ledger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("list", "one line a shard, open questions first (the default)"),
        ("show", "everything known of a shard"),
        ("adopt", "record a batch for a shard by hand, after the same proof as the protocol's"),
        ("discard", "forget a shard's intent, so that it is sent again; moves, never deletes"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", default="", help="data root (default: NIGHTPRESS_ROOT, else data/)")
        command.add_argument("--api", default="", help="only the ledger of this API, e.g. api.anthropic.com")
        if name != "list":
            command.add_argument("key", metavar="KEY", help="shard key, or as much of it as is unique")
        _add_options(name, command)
    return parser


def _add_options(name: str, command: argparse.ArgumentParser) -> None:
    if name in {"list", "show"}:
        command.add_argument("--json", action="store_true", help="for programs")
    else:
        command.add_argument("--base-url", default="", help="address of the API")
        command.add_argument("--api-key", default="", help="its key (better: ANTHROPIC_API_KEY)")
    if name == "list":
        command.add_argument("--pipeline", default="")
        command.add_argument("--day", default="", type=_day, help="YYYY-MM-DD")
        command.add_argument("--state", default="", choices=manual_ledger.STATES)
        command.add_argument("--open", action="store_true", help="only what a person may have to decide")
    elif name == "adopt":
        command.add_argument("batch_id", metavar="BATCH_ID")
        command.add_argument(
            "--unproved",
            action="store_true",
            help="also while it runs, when nothing can prove that it is the shard's",
        )
    elif name == "discard":
        command.add_argument("--yes", action="store_true", help="do it; without, it is only explained")
        command.add_argument(
            "--even-submitted", action="store_true", help="also when it has a batch, which was paid for"
        )


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2026-11-22") from None


if __name__ == "__main__":
    sys.exit(main())
