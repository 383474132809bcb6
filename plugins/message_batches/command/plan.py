"""``python -m launch.preview --from 2026-11-01 --to 2026-11-30``: what a backfill would cost, before it starts.

Reads the days' sources as the DAG would, and sends and stores nothing. Exit code: 0 fine, 1 a day cannot be
read, 2 the command line or the surroundings are wrong.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from launch.__main__ import PROJECT, read_layout
from launch.environment import LaunchError, find_api
from message_batches.command import connection
from nightpress.costs.plan import Plan, dollars
from nightpress.errors import ConfigurationError, NightpressError

if TYPE_CHECKING:
    from upath import UPath

    from message_batches import ReadArticlesOperator

_COLUMNS = ("day", "articles", "to send", "submitted", "reused", "rejected", "shards", "expected", "at most")
_LONGEST_RANGE = 3_660


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of days and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        days = _days(options.first, options.last)
        settings = connection.read_settings()
        os.environ.setdefault("AIRFLOW_HOME", str(_home(settings)))
        os.environ["NIGHTPRESS_ROOT"] = read_layout(settings).root
        reader = _find_reader(options.pipeline)
        scope = _scope(settings)
        print(
            f"{options.pipeline}, {len(days)} day(s), ledger {scope}; nothing is sent or stored", flush=True
        )
        return _print_table(days, reader, options, connection.open_root(settings), scope)
    except (LaunchError, ConfigurationError) as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2


def _print_table(
    days: Sequence[str], reader: ReadArticlesOperator, options: argparse.Namespace, root: UPath, scope: str
) -> int:
    plans: list[Plan] = []
    failed = 0
    print(_line(_COLUMNS))
    for day in days:
        try:
            plan = _plan(day, reader, options, root, scope)
        except NightpressError as error:
            failed += 1
            print(f"{day}  cannot be read: {error}", flush=True)
            continue
        plans.append(plan)
        print(_line(_cells(plan.day, [plan])), flush=True)
        for note in plan.notes:
            print(f"{'':10}  {note}")
    print(_line(_cells("total", plans)))
    return 1 if failed else 0


def _cells(name: str, plans: Sequence[Plan]) -> list[str]:
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


def _plan(
    day: str, reader: ReadArticlesOperator, options: argparse.Namespace, root: UPath, scope: str
) -> Plan:
    """Plan a day as the pipeline's first task would in a run without a form."""
    from nightpress.batches.ledger import Ledger
    from nightpress.runs import Run

    dag = reader.dag
    assert dag is not None
    run: Any = SimpleNamespace(conf={}, partition_key=day)
    context: Any = {"params": dag.params.dump(), "dag_run": run}
    task: ReadArticlesOperator = reader.prepare_for_execution()
    task.render_template_fields(context)
    task.chosen_model = options.model or task.chosen_model
    task.fresh = options.fresh or task.fresh
    folder = root / "runs" / "preview"
    return task.prepare(
        Run(reader.pipeline, day, "preview", root, folder, Ledger(root / "ledger", scope)),
        context,
        open_path=lambda path: connection.open_path(str(path)),
        write=False,
    ).plan


def _find_reader(pipeline: str) -> ReadArticlesOperator:
    """Return the first task of a pipeline, from the DAG files of the project.

    :raises LaunchError: no file declares it.
    """
    for folder in (PROJECT / "plugins", PROJECT):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    from message_batches import ReadArticlesOperator

    names = []
    for task in _iter_tasks(PROJECT / "dags"):
        if isinstance(task, ReadArticlesOperator):
            if task.pipeline == pipeline:
                return task
            names.append(task.pipeline)
    raise LaunchError(
        f"no pipeline {pipeline!r} in {PROJECT / 'dags'}; there are: {', '.join(sorted(names)) or 'none'}"
    )


def _iter_tasks(folder: Path) -> Iterator[Any]:
    from airflow.sdk import DAG

    for number, path in enumerate(sorted(folder.glob("*.py"))):
        spec = importlib.util.spec_from_file_location(f"nightpress_dag_{number}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where Pydantic looks up what a model's annotations name
        spec.loader.exec_module(module)
        for dag in vars(module).values():
            if isinstance(dag, DAG):
                yield from dag.tasks


def _scope(settings: Mapping[str, str]) -> str:
    api = find_api(settings)
    if api is None:
        return "offline"
    from nightpress.batches.client import scope_of

    return scope_of(api.base_url or "https://api.anthropic.com")


def _home(settings: Mapping[str, str]) -> Path:
    home = read_layout(settings).home
    if not home.exists():
        home = Path(tempfile.mkdtemp(prefix="nightpress-preview-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def _days(first: str, last: str) -> list[str]:
    dates = []
    for name, text in (("FROM", first), ("TO", last or first)):
        try:
            dates.append(date.fromisoformat(text))
        except ValueError:
            raise LaunchError(f"{name} is {text!r}; a date such as 2026-11-22 is needed") from None
    count = (dates[1] - dates[0]).days + 1
    if not 1 <= count <= _LONGEST_RANGE:
        raise LaunchError(
            f"FROM {dates[0]} TO {dates[1]} are {count} days; 1 to {_LONGEST_RANGE:,} can be planned"
        )
    return [(dates[0] + timedelta(days=n)).isoformat() for n in range(count)]


def _parser() -> argparse.ArgumentParser:
    environment = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m launch.preview", description=__doc__)
    parser.add_argument(
        "--from", dest="first", default=environment("NIGHTPRESS_FROM", ""), help="first day, YYYY-MM-DD"
    )
    parser.add_argument(
        "--to", dest="last", default=environment("NIGHTPRESS_TO", ""), help="last day (default: the first)"
    )
    parser.add_argument(
        "--pipeline",
        default=environment("NIGHTPRESS_PIPELINE") or "article_summaries",
        help="name of the pipeline (default: article_summaries)",
    )
    parser.add_argument(
        "--model", default=environment("NIGHTPRESS_MODEL", ""), help="instead of the pipeline's"
    )
    parser.add_argument("--fresh", action="store_true", help="as if fresh answers were asked for")
    return parser


if __name__ == "__main__":
    sys.exit(main())
