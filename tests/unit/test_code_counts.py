"""What must stay as it is in the layout of the code: see ``python -m tests.support.code_counts``."""

from __future__ import annotations

import ast

import pytest

from tests.support import code_counts
from tests.support.code_counts import Source, read_sources

SOURCES = read_sources()
PATHS = {
    "include/nightpress/layout.py": "where everything is below the data root",
    "include/nightpress/folders.py": "what is inside a run's and a ledger's folder",
    "include/nightpress/articles/lake_tables.py": "files of a Delta or Iceberg table, whose format names them",
    "include/nightpress/articles/lake_folders.py": "the same, to tell a table from a folder of files",
    "include/nightpress/results/row_buckets.py": "temporary files of this machine",
    "plugins/message_batches/config.py": "the checkout's examples",
    "plugins/message_batches/page/routes.py": "the page's own files in this package",
    "plugins/message_batches/command/command_settings.py": "files of the checkout",
    "plugins/message_batches/command/connection.py": "what the launcher left in its home",
    "plugins/message_batches/command/dag_files.py": "folders of the checkout",
}
URIS = {
    "plugins/message_batches/config.py": "tasks and the page: ObjectStoragePath, which knows Airflow's connections",
    "plugins/message_batches/command/connection.py": "commands on a machine without that connection",
    "include/nightpress/storage.py": "a temporary folder of this machine",
    "dags/question_pairs.py": "a user's DAG, which has only the URI that publish returned",
}
NAMES = {
    "main": "the entry point of a program",
    "open_path": "the command opens a URL with Airflow's connections or without them",
}
LONG = {
    "include/nightpress/runs/run_plan.py:make_plan": "one record with 40 fields",
    "include/offline_api/openapi.py:_paths": "one table of endpoints",
    "plugins/message_batches/page/overview_json.py:_describe_run": "one record of what the page shows",
}
LONG_FILES = {
    "include/nightpress/articles/table_dialect.py": "one decision, rule by rule: delimiter, quoting, line ends, header",
    "include/nightpress/batches/ledger.py": "one record and every way to read it",
    "include/nightpress/results/result_lines.py": "one line of results, field by field",
    "include/nightpress/results/shard_rows.py": "one pass over a shard's results, in article order",
    "include/offline_api/model_catalog.py": "one table of models",
    "launch/bootstrap.py": "runs before anything is installed, so it imports nothing of ours",
    "launch/cluster/servers.py": "three servers with one way to find, start and stop each",
    "launch/cluster/topology.py": "one cluster: its hosts, their environments, start and stop",
    "plugins/message_batches/operators/read_articles.py": "180 lines are its arguments, with the meaning of each",
}


def test_no_file_name_occurs_twice() -> None:
    assert code_counts.stems_twice(SOURCES) == {}


@pytest.mark.parametrize("of_the_offline_api", [False, True])
def test_no_public_name_occurs_twice(of_the_offline_api: bool) -> None:
    ours = code_counts.without_offline_api(SOURCES)
    sources = [source for source in SOURCES if source not in ours] if of_the_offline_api else ours
    assert code_counts.names_twice(sources).keys() - NAMES == set()


def test_only_the_layout_builds_paths_below_the_data_root() -> None:
    rooms = ("include/nightpress", "plugins")
    found = code_counts.path_builders(source for source in SOURCES if source.path.startswith(rooms))
    assert {path: joins for path, joins in found.items() if path not in PATHS} == {}


def test_a_uri_is_opened_in_one_place() -> None:
    found = code_counts.uri_openers(SOURCES)
    assert {path: calls for path, calls in found.items() if path not in URIS} == {}


def test_streams_become_arrow_files_in_one_place() -> None:
    assert code_counts.arrow_file_makers(SOURCES).keys() == {"include/nightpress/parquet_files.py"}


def test_each_exception_is_still_needed() -> None:
    paths = code_counts.path_builders(SOURCES).keys()
    assert (PATHS.keys() - paths, URIS.keys() - code_counts.uri_openers(SOURCES).keys()) == (set(), set())
    assert NAMES.keys() - code_counts.names_twice(SOURCES).keys() == set()
    assert LONG.keys() - code_counts.long_functions(SOURCES).keys() == set()
    assert LONG_FILES.keys() - _files_above_300_lines() == set()


def test_a_long_file_is_one_idea_or_gets_shorter() -> None:
    assert _files_above_300_lines() - LONG_FILES.keys() == set()


def _files_above_300_lines() -> set[str]:
    return {source.path for source in SOURCES if len(source.text.splitlines()) > 300}


def test_a_long_function_is_one_table_or_gets_shorter() -> None:
    assert code_counts.long_functions(SOURCES).keys() - LONG.keys() == set()


@pytest.mark.parametrize(
    "line",
    [
        "root / name",
        "self._root / 'ledger'",
        "config.data_root().path / 'inbox'",
        "folder / f'requests-{name}.json'",
        "folder / FILE",
        "path.with_name('report.md')",
        "folder.joinpath('a', 'b')",
    ],
)
def test_a_built_path_is_seen(line: str) -> None:
    planted = Source("include/nightpress/planted.py", line, ast.parse(line))
    assert code_counts.path_builders([planted]) != {}


def test_a_child_from_a_listing_is_no_built_path() -> None:
    text = "[folder / name for name in list_names(folder)]; total / count"
    assert code_counts.path_builders([Source("x.py", text, ast.parse(text))]) == {}


def test_planted_duplicates_are_seen() -> None:
    text = "def load(): ...\nclass Plan: ...\n" + "\n".join(f"value_{n} = {n}" for n in range(6))
    planted = [Source(f"{room}/plan.py", text, ast.parse(text)) for room in ("a", "b")]
    assert code_counts.stems_twice(planted) == {"plan": ["a/plan.py", "b/plan.py"]}
    assert code_counts.names_twice(planted).keys() == {"load", "Plan"}
    assert len(code_counts.duplicates(planted)) == 3
