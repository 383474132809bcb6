"""Counts how the code is laid out: sizes, names that occur twice, places that build paths, long functions, ``Any``.

``python -m tests.support.code_counts`` prints the table of docs/design.md; ``tests/unit/test_layout_of_code.py`` keeps
the numbers that must not grow.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
ROOMS = ("include", "plugins", "launch", "dags")
"""Code that is installed, launched or run by Airflow; tests and benchmarks are not counted."""
OFFLINE_API = ("include/offline_api/", "include/local_api/")
"""A separate project, by its current and its former name: it may use the same names as the others."""
MAX_FUNCTION_LINES = 40
_FOLDER = r"(?:folder|path|place|parent|target)(?:\(\))?$"
DUPLICATE_LINES = 6

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_AIRFLOW_PATHS = frozenset({"UPath", "ObjectStoragePath"})
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of the checkout."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def stem(self) -> str:
        return Path(self.path).stem


def read_sources(checkout: Path = CHECKOUT) -> list[Source]:
    """Return the Python files of a checkout that are counted, by path."""
    paths = sorted(path for room in ROOMS for path in (checkout / room).rglob("*.py"))
    return [
        Source(str(path.relative_to(checkout)), text, ast.parse(text))
        for path in paths
        for text in [path.read_text(encoding="utf-8")]
    ]


def stems_twice(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Return the file names that occur in two folders, with the files."""
    return _twice((source.stem, source.path) for source in sources if not source.stem.startswith("__"))


def names_twice(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Return the public top-level functions and classes that two files define under one name, with the files."""
    return _twice(
        (node.name, source.path)
        for source in sources
        for node in source.tree.body
        if isinstance(node, _DEFINITION) and not node.name.startswith("_")
    )


def _twice(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in pairs:
        places[name].append(place)
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def long_functions(sources: Iterable[Source]) -> dict[str, int]:
    """Return the functions whose body has more than 40 lines, as ``file:name`` with their lines.

    Signature and docstring do not count: a keyword-only adapter has many arguments, each on its own line.
    """
    return {
        f"{source.path}:{node.name}": lines
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, _Function)
        if (lines := _code_lines(node)) > MAX_FUNCTION_LINES
    }


def _code_lines(node: _Function) -> int:
    documented = ast.get_docstring(node, clean=False) is not None and len(node.body) > 1
    return (node.end_lineno or node.lineno) - node.body[documented].lineno + 1


def path_builders(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Return the files that join a path with a name written in the code, with the lines.

    That is ``folder / "name"``, ``folder / f"…"``, ``folder / NAME``, ``anything_root / anything`` and ``joinpath`` or
    ``with_name`` with such a name. A child whose name comes from a listing (``folder / name``) does not count.
    """
    found: dict[str, list[str]] = {}
    for source in sources:
        joins = [
            f"{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.expr) and _builds_a_path(node)
        ]
        if joins:
            found[source.path] = joins
    return found


def _builds_a_path(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        of_root = re.search(r"(?:^|[._])root(?:\.path)?$|root\(\)(?:\.path)?$", ast.unparse(node.left))
        named = isinstance(node.right, ast.Name) and not re.search(_FOLDER, ast.unparse(node.left))
        return bool(of_root) or (_is_written(node.right) and not named)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of_path = node.func.attr in {"joinpath", "with_name"} and re.search(
            _FOLDER, ast.unparse(node.func.value)
        )
        return bool(of_path) and any(map(_is_written, node.args))
    return False


def _is_written(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id.isupper()
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def uri_openers(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Return the files that make a storage path from a string, with the lines."""
    found: dict[str, list[str]] = {}
    for source in sources:
        calls = [
            f"{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in _AIRFLOW_PATHS
        ]
        if calls:
            found[source.path] = calls
    return found


def arrow_file_makers(sources: Iterable[Source]) -> dict[str, int]:
    """Return the files that wrap a stream for Arrow themselves, with how often."""
    found = {
        source.path: sum(
            isinstance(node, ast.Attribute) and node.attr == "PythonFile" for node in ast.walk(source.tree)
        )
        for source in sources
    }
    return {path: count for path, count in found.items() if count}


def count_any(sources: Iterable[Source]) -> int:
    """Return how often ``Any`` is written in annotations and casts; imports do not count."""
    return sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for source in sources
        for node in ast.walk(source.tree)
    )


def duplicates(sources: Iterable[Source], lines: int = DUPLICATE_LINES) -> list[list[str]]:
    """Return the places that hold the same ``lines`` lines of code in a row, blanks, comments and imports left out."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for source in sources:
        code = list(_code(source))
        for start in range(len(code) - lines + 1):
            window = code[start : start + lines]
            places[tuple(text for _, text in window)].append(f"{source.path}:{window[0][0]}")
    return [found for found in places.values() if len(found) > 1]


def _code(source: Source) -> Iterator[tuple[int, str]]:
    left_out: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.Expr) and _is_text(node.value)
        ):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline)
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    for number, line in enumerate(source.text.splitlines(), 1):
        text = line.strip()
        # A line of brackets alone is no sign of duplication.
        if number not in left_out and number not in comments and re.search(r"\w", text):
            yield number, text


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def count_all(sources: Sequence[Source]) -> dict[str, str]:
    """Return the rows of the table: what is counted, and the number."""
    sizes = [source.lines for source in sources if source.lines > 1]
    ours = without_offline_api(sources)
    core = [source for source in ours if source.path.startswith(("include/", "plugins/"))]
    return {
        "files": f"{len(sizes)}",
        "lines": f"{sum(sizes):,}",
        "files under 60 lines": f"{sum(size < 60 for size in sizes)}",
        "files over 250 lines": f"{sum(size > 250 for size in sizes)}",
        "median lines of a file": f"{statistics.median(sizes):.0f}",
        "functions with a body over 40 lines": f"{len(long_functions(sources))}",
        "file names that occur twice": f"{len(stems_twice(sources))}",
        "public functions and classes that occur twice": f"{len(names_twice(ours))}",
        "files of core and adapters that build paths": f"{len(path_builders(core))}",
        "files that open a URI": f"{len(uri_openers(sources))}",
        "files that wrap a stream for Arrow": f"{len(arrow_file_makers(sources))}",
        "runs of six equal lines": f"{len(duplicates(sources))}",
        "`Any` for each 1,000 lines": f"{1000 * count_any(sources) / sum(sizes):.1f}",
    }


def without_offline_api(sources: Iterable[Source]) -> list[Source]:
    """Return the files that are not the offline API's."""
    return [source for source in sources if not source.path.startswith(OFFLINE_API)]


def _iter_details(sources: Sequence[Source]) -> Iterator[str]:
    found: dict[str, Mapping[str, object]] = {
        "file name": stems_twice(sources),
        "name": names_twice(without_offline_api(sources)),
        "path": path_builders(sources),
        "uri": uri_openers(sources),
        "arrow": arrow_file_makers(sources),
        "long": long_functions(sources),
        "size": {source.path: source.lines for source in sources if source.lines > 250},
    }
    for kind, places in found.items():
        yield from (f"{kind} {name}: {place}" for name, place in places.items())
    yield from (f"same {places}" for places in duplicates(sources))
    used = Counter({source.path: count_any([source]) for source in sources})
    yield from (f"any {path}: {count}" for path, count in used.most_common(20))


def main(arguments: Sequence[str]) -> None:
    """Print the table, and with ``--details`` what is counted.

    :param arguments: a checkout (default: this one), and ``--details``.
    """
    given = [argument for argument in arguments if argument != "--details"]
    sources = read_sources(Path(given[0]) if given else CHECKOUT)
    lines = [f"| {name} | {value} |" for name, value in count_all(sources).items()]
    if "--details" in arguments:
        lines += _iter_details(sources)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
