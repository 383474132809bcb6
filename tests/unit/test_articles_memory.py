from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCHEMA = pa.schema([("id", pa.string()), ("content", pa.string())])
PROGRAM = """
import sys
from pathlib import Path
from upath import UPath
from nightpress.articles.reader import iter_articles

def peak_kib():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

base = peak_kib()
count = sum(1 for _ in iter_articles(UPath(sys.argv[1])))
print(count, peak_kib() - base)
"""


def rows(count: int) -> Iterator[tuple[str, str]]:
    for n in range(count):
        yield f"article-{n}", f"{n} is a number, and 数 too. " * 60


def batched(values: Iterator[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    while part := list(islice(values, size)):
        yield part


def write(path: Path, count: int) -> None:
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for part in batched(rows(count), 6_000):
                writer.write_table(pa.table(list(zip(*part, strict=True)), schema=SCHEMA))
        return
    with path.open("w", encoding="utf-8") as stream:
        for n, (article_id, content) in enumerate(rows(count)):
            if path.suffix == ".csv":
                header = "" if n else "id,content\n"
                stream.write(f'{header}{article_id},"{content}"\n')
            else:
                line = json.dumps({"id": article_id, "content": content}, ensure_ascii=False)
                stream.write(line if path.suffix == ".jsonl" else f"{',' if n else '['}{line}")
                stream.write("\n" if n < count - 1 or path.suffix == ".jsonl" else "]")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_input(suffix: str, tmp_path: Path) -> None:
    peaks = []
    for count in (6_000, 36_000):
        path = tmp_path / f"in{suffix}"
        write(path, count)
        child = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path)],
            env={"PYTHONPATH": str(Path.cwd() / "include"), "ARROW_DEFAULT_MEMORY_POOL": "system"},
            capture_output=True,
            text=True,
            check=True,
        )
        read, peak_kib = map(int, child.stdout.split())
        assert read == count
        peaks.append(peak_kib)
    assert peaks[1] < peaks[0] + 16 * 1024, f"peaks {peaks} KiB over the imports"
    assert peaks[1] < 80 * 1024
