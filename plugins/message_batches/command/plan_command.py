"""``nightpress plan``: what a range of days would cost, without sending or storing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from message_batches.command import connection
from message_batches.command.command_settings import CommandError, find_api, find_checkout, read_settings
from message_batches.command.console import say, say_json, warn
from message_batches.command.dag_files import read_dag_files
from message_batches.command.options import DEFAULT_PIPELINE, Json, Pipeline, Root, read_day
from nightpress.errors import NightpressError

if TYPE_CHECKING:
    from message_batches import ReadArticlesOperator
    from nightpress.costs.plan import Plan
    from nightpress.layout import DataRoot

_COLUMNS = ("day", "articles", "to send", "submitted", "reused", "rejected", "shards", "expected", "at most")
_MAX_DAYS = 3_660


def plan(
    *,
    first: Annotated[
        str,
        typer.Option("--from", metavar="YYYY-MM-DD", parser=read_day, help="First day.", show_default=False),
    ],
    last: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="YYYY-MM-DD",
            parser=read_day,
            help="Last day (default: the first).",
            show_default=False,
        ),
    ] = "",
    pipeline: Pipeline = DEFAULT_PIPELINE,
    model: Annotated[
        str, typer.Option("--model", help="Instead of the pipeline's.", show_default=False)
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="As if fresh answers were asked for.")] = False,
    root: Root = "",
    as_json: Json = False,
) -> None:
    """Show what a range of days would cost. Sends and stores nothing.

    Exit code: 0 fine; 1 a day cannot be read.

    Example: `nightpress plan --from 2026-11-01 --to 2026-11-30`
    """
    days = list_days(first, last)
    settings = read_settings()
    if root:
        settings["NIGHTPRESS_ROOT"] = root
    files = read_dag_files(settings)
    reader = files.find(pipeline)
    for name, error in sorted(files.broken.items()):
        warn(f"{name} cannot be loaded, so its pipelines are not known: {error}")
    planner = _Planner(reader, connection.open_root(settings), _find_scope(settings, reader), model, fresh)
    if as_json:
        _print_json(days, planner)
    else:
        say(f"{pipeline}, {len(days)} day(s), ledger {planner.scope}; nothing is sent or stored")
        _print_table(days, planner)


class _Planner:
    """Plans a day as the pipeline's first task would in a run without a form."""

    def __init__(
        self, reader: ReadArticlesOperator, root: DataRoot, scope: str, model: str, fresh: bool
    ) -> None:
        self.reader = reader
        self.root = root
        self.scope = scope
        self.model = model
        self.fresh = fresh

    def plan(self, day: str) -> Plan:
        """Read a day's source and plan it.

        :raises NightpressError: it cannot be read.
        """
        from nightpress.batches.ledger import Ledger
        from nightpress.runs.run import Run
        from nightpress.runs.unrequested_runs import missing_day_note

        dag = self.reader.dag
        assert dag is not None
        run: Any = SimpleNamespace(conf={}, partition_key=day)
        context: Any = {"params": dag.params.dump(), "dag_run": run}
        task: ReadArticlesOperator = self.reader.prepare_for_execution()
        task.render_template_fields(context)
        task.chosen_model = self.model or task.chosen_model
        task.fresh = self.fresh or task.fresh
        root = self.root
        plan = task.prepare(
            Run(self.reader.pipeline, day, "preview", root, Ledger(root.ledger(), self.scope)),
            context,
            open_path=lambda path: connection.open_path(str(path)),
            write=False,
        ).plan
        if plan.articles:
            return plan
        return replace(plan, notes=[missing_day_note(plan.source, task.on_missing_day), *plan.notes])


def _print_table(days: Sequence[str], planner: _Planner) -> None:
    plans: list[Plan] = []
    failed = 0
    say(_line(_COLUMNS))
    for day in days:
        try:
            plan = planner.plan(day)
        except NightpressError as error:
            failed += 1
            say(f"{day}  cannot be read: {error}")
            continue
        plans.append(plan)
        say(_line(_cells(plan.day, [plan])))
        for note in [*_outcome(plan), *plan.notes]:
            say(f"{'':10}  {note}")
    say(_line(_cells("total", plans)))
    if failed:
        raise typer.Exit(1)


def _outcome(plan: Plan) -> list[str]:
    """Return what stops a run of this plan, or makes it wait; nothing if it goes on."""
    if plan.over_budget:
        return [f"A run of this day fails: it is {plan.verdict}."]
    return ["A run of this day waits for approval."] if plan.needs_approval else []


def _print_json(days: Sequence[str], planner: _Planner) -> None:
    from nightpress.costs.plan import plan_values

    found: list[Mapping[str, Any]] = []
    failed: list[Mapping[str, str]] = []
    for day in days:
        try:
            found.append(plan_values(planner.plan(day)))
        except NightpressError as error:
            failed.append({"day": day, "error": str(error)})
    say_json({"pipeline": planner.reader.pipeline, "api": planner.scope, "plans": found, "failed": failed})
    if failed:
        raise typer.Exit(1)


def _cells(name: str, plans: Sequence[Plan]) -> list[str]:
    from nightpress.costs.money import dollars

    counts = ("articles", "to_send", "attached", "reused")
    cells = [name, *(f"{sum(getattr(plan, count) for plan in plans):,}" for count in counts)]
    cells.append(f"{sum(sum(plan.rejected.values()) for plan in plans):,}")
    cells.append(f"{sum(plan.shards for plan in plans):,}")
    for kind in ("cost_expected_usd", "cost_upper_usd"):
        amounts = [getattr(plan, kind) for plan in plans]
        cells.append(dollars(None if None in amounts else sum(amounts)))
    return cells


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<10}" + "".join(f"{cell:>11}" for cell in cells[1:])


def _find_scope(settings: Mapping[str, str], reader: ReadArticlesOperator) -> str:
    """Return whose ledger tells what was submitted before.

    In a checkout that is the API of ``nightpress run``; beside an Airflow that of the pipeline's connection.

    :raises CommandError: the connection is not known here.
    """
    from nightpress.batches.api_addresses import scope_of

    api = find_api(settings)
    if api is not None:
        return scope_of(api.base_url or "https://api.anthropic.com", offline=api.offline)
    if find_checkout() is not None:
        return "offline"
    from message_batches import config

    conn_id = str(reader.conn_id or config.DEFAULT_CONN_ID)
    try:
        return config.connect(conn_id).scope
    except Exception as error:
        raise CommandError(
            f"the connection {conn_id!r} cannot be opened here ({type(error).__name__}: {str(error)[:200]}); run this "
            f"where Airflow knows it, or set AIRFLOW_CONN_{conn_id.upper()} or ANTHROPIC_API_KEY"
        ) from None


def list_days(first: str, last: str) -> list[str]:
    """Return the days from the first to the last, both included.

    :raises CommandError: the last is before the first, or there are too many.
    """
    start = date.fromisoformat(first)
    end = date.fromisoformat(last or first)
    count = (end - start).days + 1
    if not 1 <= count <= _MAX_DAYS:
        raise CommandError(f"from {start} to {end} are {count} days; 1 to {_MAX_DAYS:,} can be planned")
    return [(start + timedelta(days=n)).isoformat() for n in range(count)]
