"""``nightpress ledger``: the ledger of batches, seen and corrected by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from message_batches.command import connection, ledger_text
from message_batches.command.command_settings import CommandError, read_settings
from message_batches.command.console import local_path, say, say_json, warn
from message_batches.command.options import Json, Root, read_day

if TYPE_CHECKING:
    from nightpress.batches.manual_ledger import LedgerLine
    from nightpress.layout import DataRoot

STATES = ("intended", "submitted", "collected", "open", "damaged")


class _ListByDefault(TyperGroup):
    """Takes ``nightpress ledger --open`` as ``nightpress ledger list --open``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args.insert(0, "list")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListByDefault,
    help="Show the ledger of batches, and decide by hand what cannot be decided automatically.\n\n"
    "Example: `nightpress ledger --open`",
)

OneApi = Annotated[
    str,
    typer.Option(
        "--api",
        metavar="NAME",
        help="Only the ledger of this API, e.g. api.anthropic.com.",
        show_default=False,
    ),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Shard key, or as much of it as is unique.")]
BaseUrl = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="Address of the API.", show_default=False)
]


def read_state(text: str) -> str:
    """Return a state given on the command line.

    :raises typer.BadParameter: there is no such state.
    """
    if text and text not in STATES:
        raise typer.BadParameter(f"{text!r} is none of: {', '.join(STATES)}")
    return text


@dataclass(frozen=True, slots=True)
class Filter:
    """Which shards are listed; an empty text stands for all."""

    pipeline: str = ""
    day: str = ""
    state: str = ""
    api: str = ""
    open_only: bool = False

    def accepts(self, line: LedgerLine) -> bool:
        """Return whether a shard is listed."""
        wanted = {"open", "damaged"} if self.open_only else ({self.state} if self.state else set())
        return (
            (not wanted or line.state in wanted)
            and self.pipeline in {"", line.entry.pipeline}
            and self.day in {"", line.entry.day}
            and self.api in {"", line.scope}
        )


@app.command("list")
def list_shards(
    *,
    pipeline: Annotated[str, typer.Option("--pipeline", metavar="NAME", show_default=False)] = "",
    day: Annotated[
        str, typer.Option("--day", metavar="YYYY-MM-DD", parser=read_day, show_default=False)
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            "--state", metavar="STATE", parser=read_state, help=", ".join(STATES), show_default=False
        ),
    ] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only what a person may have to decide.")] = False,
    api: OneApi = "",
    root: Root = "",
    as_json: Json = False,
) -> None:
    """List the shards, one a line, open questions first. This is the default.

    Example: `nightpress ledger list --day 2026-11-22 --json`
    """
    from nightpress.batches import manual_ledger

    data = connection.open_root(read_settings(), root)
    chosen = Filter(pipeline, day, state, api, open_only)
    lines = [line for line in manual_ledger.iter_ledger_lines(data) if chosen.accepts(line)]
    lines.sort(key=lambda line: (line.scope, line.entry.day, line.entry.pipeline, line.entry.uri))
    now = time.time()
    questions = [question for line in lines if (question := manual_ledger.find_open_question(line, now))]
    if as_json:
        say_json(ledger_text.as_json(lines, questions, now))
    elif lines:
        ledger_text.print_questions(questions)
        ledger_text.print_table(lines, now)
    else:
        say(ledger_text.say_empty(data.ledger(), filtered=chosen != Filter(), open_only=open_only))


@app.command()
def show(*, key: Key, api: OneApi = "", root: Root = "", as_json: Json = False) -> None:
    """Show everything that is known of a shard.

    Example: `nightpress ledger show 3f2a`
    """
    from nightpress.batches import manual_ledger
    from nightpress.batches.ledger import Ledger

    data = connection.open_root(read_settings(), root)
    line, now = manual_ledger.find_ledger_line(data, key, api), time.time()
    batches = Ledger(data.ledger(), line.scope).batches_of(line.entry.key)
    if as_json:
        say_json(ledger_text.as_json([line], [], now)["entries"][0] | {"owns": batches})
        return
    question = manual_ledger.find_open_question(line, now)
    ledger_text.print_questions([question] if question else [])
    ledger_text.print_shard(line, batches, data)


@app.command()
def adopt(
    *,
    key: Key,
    batch_id: Annotated[str, typer.Argument(metavar="BATCH_ID", help="Id of the batch, msgbatch_….")],
    unproved: Annotated[
        bool,
        typer.Option(
            "--unproved",
            help="Even while the batch is running, when nothing can prove that it is the shard's.",
        ),
    ] = False,
    api: OneApi = "",
    root: Root = "",
    base_url: BaseUrl = "",
) -> None:
    """Record a batch for a shard by hand, with the same proof that a submission needs.

    The key is read from ANTHROPIC_API_KEY.

    Example: `nightpress ledger adopt 3f2a msgbatch_01abc`
    """
    from nightpress.batches import manual_ledger
    from nightpress.batches.ledger import Ledger

    data = connection.open_root(read_settings(), root)
    line = manual_ledger.find_ledger_line(data, key, api)
    client = connection.open_api(read_settings(), line.scope, base_url=base_url)
    batch, proved = manual_ledger.adopt_batch(
        line, batch_id, client, Ledger(data.ledger(), line.scope), unproved=unproved
    )
    say(ledger_text.describe_adopted(line, batch, proved))
    say("Clear submit_batch of the shard, or run the day again: it attaches to this batch and pays nothing.")


@app.command()
def discard(
    *,
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without --yes it is only explained.")] = False,
    even_submitted: Annotated[
        bool, typer.Option("--even-submitted", help="Also when it has a batch, which was paid for.")
    ] = False,
    api: OneApi = "",
    root: Root = "",
    base_url: BaseUrl = "",
) -> None:
    """Set a shard's record aside, so that it is sent again; nothing is deleted.

    Example: `nightpress ledger discard 3f2a`
    """
    from nightpress.batches import manual_ledger
    from nightpress.batches.ledger import Ledger
    from nightpress.runs.discarded_batches import keep_on_receipt

    data = connection.open_root(read_settings(), root)
    line = manual_ledger.find_ledger_line(data, key, api)
    ledger, now = Ledger(data.ledger(), line.scope), time.time()
    batches = manual_ledger.check_discard(line, ledger, now, even_submitted=even_submitted)
    short, state = line.entry.key[:16], ledger_text.show_state(line.state)
    say(f"Discarding shard {short} ({state}, {line.entry.requests:,} requests) sends it AGAIN.")
    say("If a batch of it exists, its articles are paid for twice.")
    for batch_id in batches:
        say(f"  It has batch {batch_id}: paid for; its results stay at the API for 29 days.")
    if line.state in {"open", "intended"}:
        _print_candidates(line, data, base_url, now)
    if not yes:
        warn("Nothing was changed. To do it: the same command with --yes.")
        raise typer.Exit(1)
    for batch_id in keep_on_receipt(line, batches, data, now):
        say(
            f"On the receipt of {line.entry.pipeline} {line.entry.day}: {batch_id}, as paid for and set aside."
        )
    aside = manual_ledger.discard_entry(line, ledger, now, even_submitted=even_submitted)
    say(f"Set aside: {local_path(str(aside))}")
    say("Clear submit_batch of the shard, or run the day again, to send it.")


@app.command("accept-short")
def accept(
    *,
    key: Key,
    lines: Annotated[
        int,
        typer.Argument(
            metavar="LINES", min=1, help="How many lines could be read, as the failed task's message says."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without --yes it is only explained.")] = False,
    api: OneApi = "",
    root: Root = "",
) -> None:
    """Go on with a batch whose results are short each time they are read; the other answers are given up.

    Example: `nightpress ledger accept-short 3f2a 9990`
    """
    from nightpress.batches import accepted_results, manual_ledger
    from nightpress.batches.ledger import Ledger

    data = connection.open_root(read_settings(), root)
    line = manual_ledger.find_ledger_line(data, key, api)
    batch_id, lost = accepted_results.check_acceptable(line, lines), line.entry.requests - lines
    say(f"Batch {batch_id} has {line.entry.requests:,} requests; {lost:,} of them will have no result.")
    say("Their answers may be paid for. Their articles become missing, and are sent and paid for AGAIN.")
    if not yes:
        warn("Nothing was changed. To do it: the same command with --yes.")
        raise typer.Exit(1)
    accepted_results.accept_short(line, lines, Ledger(data.ledger(), line.scope), time.time())
    say(f"Accepted, as long as at least {lines:,} lines can be read. Clear write_results of the shard.")


def _print_candidates(line: LedgerLine, data: DataRoot, base_url: str, now: float) -> None:
    import anthropic

    from nightpress.batches import manual_ledger
    from nightpress.batches.ledger import Ledger

    try:
        client = connection.open_api(read_settings(), line.scope, base_url=base_url)
        if client.scope != line.scope:
            raise CommandError(f"the connection is to {client.scope}, the shard was sent to {line.scope}")
        found = manual_ledger.find_candidates(line.entry, client, Ledger(data.ledger(), line.scope), now)
    except (CommandError, anthropic.AnthropicError) as error:
        say(f"  The API's list could NOT be read ({str(error)[:300]}): a batch may exist unseen.")
        return
    if not found:
        say("  Since the first POST, the API's list has no unowned batch with this number of requests.")
    for batch in found:
        say(f"  could be its batch: {ledger_text.describe_batch(batch)}")
