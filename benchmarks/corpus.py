"""Make a corpus of real texts from what any machine with this project has: its installed packages.

Docstrings and documentation files are full of braces, Jinja, quotes, markup and odd Unicode, all of which a
pipeline must stand. Run ``python -m benchmarks.corpus --out articles.jsonl --articles 5000``.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gzip
import itertools
import json
import random
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

Row: TypeAlias = dict[str, Any]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), metadata={"about": "path::qualified name, #n for the n-th repetition"}),
        pa.field("title", pa.string()),
        pa.field("content", pa.string()),
        pa.field("package", pa.string()),
        pa.field("kind", pa.string(), metadata={"about": "docstring, document or licence"}),
        pa.field("chars", pa.int64(), metadata={"about": "characters of the content"}),
    ]
)
FORMATS = (".jsonl", ".json", ".csv", ".parquet")
_DOCUMENTS = {".md", ".rst", ".txt"}
_LICENCES = {"LICENSE", "LICENCE", "COPYING", "NOTICE"}
_MIN_CHARS = 200
_MAX_FILE_BYTES = 1_000_000
_BLOCK = 10_000


def write_corpus(path: Path, articles: int | None = None, seed: int = 0, root: Path | None = None) -> int:
    """Write a corpus, and return how many articles it has.

    :param path: its extension decides the format: .jsonl, .json, .csv or .parquet; all but Parquet also with .gz
        or .zst.
    :param articles: number of articles; texts are repeated with a numbered variation if there are too few.
        None writes each text once.
    :param seed: 0 keeps the order of the file names; any other number shuffles the files.
    :param root: folder of the packages; None means those of this interpreter.
    :raises ValueError: the format is another one, or there are no texts.
    """
    root = root or Path(sysconfig.get_path("purelib"))
    suffixes = [suffix for suffix in path.suffixes if suffix in {*FORMATS, ".gz", ".zst"}]
    if not suffixes or suffixes[0] not in FORMATS or (suffixes[0] == ".parquet" and suffixes[1:]):
        raise ValueError(
            f"{path.name} must end in {', '.join(FORMATS)}; all but .parquet also with .gz or .zst"
        )
    rows = _shown(_enough(iter_texts(root, seed), articles), articles)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffixes[0] == ".parquet":
        return _write_parquet(path, rows)
    return _write_text(path, rows, _ENCODERS[suffixes[0]])


def iter_texts(root: Path, seed: int = 0) -> Iterator[Row]:
    """Yield each text once, with files in the order of their names or shuffled by the seed."""
    wanted = {".py", *_DOCUMENTS}
    files = sorted(
        file
        for file in root.rglob("*")
        if (file.suffix in wanted or file.stem in {"METADATA", *_LICENCES}) and file.is_file()
    )
    if seed:
        random.Random(seed).shuffle(files)
    for file in files:
        if file.stat().st_size > _MAX_FILE_BYTES:
            continue
        name = file.relative_to(root).as_posix()
        for part, title, content in _texts_of(file):
            if len(content) >= _MIN_CHARS and not content.isspace():
                yield {
                    "id": f"{name}::{part}" if part else name,
                    "title": title,
                    "content": content,
                    "package": name.split("/")[0].split("-")[0].removesuffix(".py"),
                    "kind": _kind(file),
                    "chars": len(content),
                }


def _kind(file: Path) -> str:
    if file.suffix == ".py":
        return "docstring"
    return "licence" if file.stem in _LICENCES else "document"


def _texts_of(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield part, title and text."""
    text = file.read_text("utf-8", errors="replace")
    if file.suffix != ".py":
        yield "", file.name, text
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences in third-party code
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return
    seen: dict[str, int] = {}
    for name, docstring in _docstrings(tree, ""):
        # Overloads and branches define a name more than once.
        seen[name] = seen.get(name, 0) + 1
        yield (f"{name}~{seen[name]}" if seen[name] > 1 else name), f"{file.stem}.{name}", docstring


def _docstrings(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield qualified names and docstrings, in the order of the file."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        docstring = ast.get_docstring(node)
        if docstring:
            yield prefix or "module", docstring
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            name = getattr(child, "name", None)
            yield from _docstrings(child, ".".join(filter(None, (prefix, name))))


def _enough(texts: Iterable[Row], articles: int | None) -> Iterator[Row]:
    """Yield the texts, repeated with a number, until there are enough."""
    if articles is None:
        yield from texts
        return
    once: list[Row] = []
    for row in itertools.islice(texts, articles):
        once.append(row)
        yield row
    if not once and articles:
        raise ValueError("there are no texts to make a corpus of")
    for number in range(len(once), articles):
        yield _variation(once[number % len(once)], number // len(once) + 1)


def _variation(row: Row, turn: int) -> Row:
    content = f"Variation {turn}.\n{row['content']}"
    return row | {"id": f"{row['id']}#{turn}", "content": content, "chars": len(content)}


def _shown(rows: Iterable[Row], articles: int | None) -> Iterator[Row]:
    """Yield the rows as encodable text, and print the progress on stderr."""
    count = 0
    of = f" of {articles:,}" if articles is not None else ""
    for count, row in enumerate(rows, start=1):
        if count % _BLOCK == 0:
            print(f"corpus: {count:,}{of} articles", file=sys.stderr, flush=True)
        yield row | {name: row[name].encode("utf-8", "replace").decode() for name in ("title", "content")}
    print(f"corpus: {count:,} articles written", file=sys.stderr, flush=True)


def _write_text(path: Path, rows: Iterable[Row], encode: Callable[[Iterable[Row]], Iterator[bytes]]) -> int:
    count = 0
    with ExitStack() as stack:
        stream: Any = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            stream = stack.enter_context(gzip.GzipFile("", "wb", 6, stream, mtime=0))
        elif path.suffix == ".zst":
            stream = stack.enter_context(pa.CompressedOutputStream(pa.PythonFile(stream, mode="w"), "zstd"))

        def counted() -> Iterator[Row]:
            nonlocal count
            for row in rows:
                count += 1
                yield row

        for data in encode(counted()):
            stream.write(data)
    return count


def _as_jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _as_json(rows: Iterable[Row]) -> Iterator[bytes]:
    separator = b"[\n"
    for row in rows:
        yield separator + json.dumps(row, ensure_ascii=False).encode()
        separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"


class _Lines:
    """The output of a csv writer: it keeps the last row as UTF-8."""

    last = b""

    def write(self, text: str) -> None:
        self.last = text.encode()


def _as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    lines = _Lines()
    writer = csv.writer(lines)
    for values in itertools.chain([SCHEMA.names], (row.values() for row in rows)):
        writer.writerow(values)
        yield lines.last


_ENCODERS = {".jsonl": _as_jsonl, ".json": _as_json, ".csv": _as_csv}


def _write_parquet(path: Path, rows: Iterable[Row]) -> int:
    remaining, count = iter(rows), 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while block := list(itertools.islice(remaining, _BLOCK)):
            writer.write_table(pa.Table.from_pylist(block, SCHEMA))
            count += len(block)
    return count


def main() -> None:
    """Write a corpus as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help=".jsonl, .json, .csv (.gz, .zst) or .parquet")
    parser.add_argument("--articles", type=int, help="how many (default: each text once)")
    parser.add_argument("--seed", type=int, default=0, help="another number than 0 shuffles the files")
    arguments = parser.parse_args()
    write_corpus(arguments.out, arguments.articles, arguments.seed)


if __name__ == "__main__":
    main()
