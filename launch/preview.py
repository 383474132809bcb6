"""``python -m launch.preview --from 2026-11-01 --to 2026-11-30``: what a backfill would cost, before it starts.

Reads the days' sources as the DAG would, and sends and stores nothing. Exit code: 0 fine, 1 a day cannot be
read, 2 the command line or the surroundings are wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from include.costs.plan import Limits, Plan, dollars
from include.errors import ConfigurationError, NightpressError
from launch import connection
from launch.__main__ import PROJECT, read_layout
from launch.environment import LaunchError, find_api

if TYPE_CHECKING:
    from upath import UPath

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
        return _print_table(
            days, reader, _Asked(options.model, options.fresh), connection.open_root(settings), scope
        )
    except (LaunchError, ConfigurationError) as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2


class _Asked(SimpleNamespace):
    def __init__(self, model: str, fresh: bool) -> None:
        super().__init__(model=model, fresh=fresh)


def _print_table(days: Sequence[str], reader: Any, asked: _Asked, root: UPath, scope: str) -> int:
    plans: list[Plan] = []
    failed = 0
    print(_line(_COLUMNS))
    for day in days:
        try:
            plan = _plan(day, reader, asked, root, scope)
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


def _plan(day: str, reader: Any, asked: _Asked, root: UPath, scope: str) -> Plan:
    """Plan a day as the pipeline's first task would."""
    from message_batches import config

    from include.articles.chain import Published
    from include.articles.model import FieldMap
    from include.articles.reader import find_files
    from include.batches.ledger import Ledger
    from include.planning import Reuse, Run, Source, prepare_run
    from include.shards.prompts import PromptTemplate
    from include.shards.requests import RequestTemplate

    read = _Values(reader, day)
    given = read("chosen_source") or _render(read("source"), day)
    published = Published.of_source(given)
    source = config.published_day(published.pipeline, day) if published else config.source_path(given, day)
    place = connection.open_path(str(source))
    files = [place] if published else find_files(place, missing_ok=not given)
    template = RequestTemplate(
        asked.model or read("chosen_model") or read("model"),
        int(read("max_tokens")),
        PromptTemplate(read("prompt"), reader.max_content_chars),
        reader.system,
        reader.schema,
        reader.cache,
    )
    run = Run(
        reader.pipeline, day, "preview", root, root / "runs" / "preview", Ledger(root / "ledger", scope)
    )
    return prepare_run(
        run,
        Source(str(source), files, FieldMap(**reader.fields), reader.encoding, read("limit"), published),
        template,
        shard_limits=reader.limits,
        max_rejected_share=reader.max_rejected_share,
        reuse=Reuse(fresh=asked.fresh or bool(read("fresh")), days=int(read("reuse_days") or 0)),
        limits=Limits(read("max_cost_usd"), read("approve_above_usd")),
        write=False,
    ).plan


class _Values:
    """The arguments of the pipeline's first task, as a run without a form would have them."""

    def __init__(self, reader: Any, day: str) -> None:
        self.reader = reader
        params = {name: reader.dag.params[name] for name in reader.dag.params}
        self.context = {"params": params, "dag_run": SimpleNamespace(conf={}, partition_key=day)}

    def __call__(self, name: str) -> Any:
        value = getattr(self.reader, name)
        return value.resolve(self.context) if hasattr(value, "resolve") else value


def _render(source: str | None, day: str) -> str | None:
    """Fill in a declared source, e.g. ``…/day={{ dag_run.partition_key }}/``."""
    if not source or "{{" not in source:
        return source
    from jinja2.sandbox import SandboxedEnvironment

    template = SandboxedEnvironment().from_string(source)
    return template.render(dag_run={"partition_key": day}, params={})


def _find_reader(pipeline: str) -> Any:
    """Return the first task of a pipeline, from the DAG files of the project.

    :raises LaunchError: no file declares it.
    """
    for folder in (PROJECT / "plugins", PROJECT):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    names = []
    for task in _iter_tasks(PROJECT / "dags"):
        name = getattr(task, "pipeline", None)
        if task.task_type == "ReadArticlesOperator":
            names.append(str(name))
            if name == pipeline:
                return task
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
    from include.batches.client import scope_of

    return scope_of(api.base_url or "https://api.anthropic.com")


def _home(settings: Mapping[str, str]) -> Path:
    home = read_layout(settings).home
    return home if home.exists() else Path(tempfile.mkdtemp(prefix="nightpress-preview-"))


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
