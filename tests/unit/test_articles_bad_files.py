from __future__ import annotations

import gzip
import io
import json
import logging
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from nightpress.articles.reader import find_files, iter_articles
from nightpress.errors import ConfigurationError, InputError

MARKER = "XYZZY-MARKER"
GOOD = json.dumps({"id": "1", "title": MARKER, "content": f"{MARKER} " * 50, "note": MARKER})


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


LONG = [MARKER * 1000, MARKER]
CASES: list[tuple[str, str, bytes, list[str]]] = [
    ("array cut in an element", "a.json", f"[{GOOD},\n{GOOD[:90]}".encode(), ["element 2", "cut off"]),
    ("array cut after a comma", "a.json", f"[{GOOD},".encode(), ["element 1", "cut off"]),
    ("array cut after an element", "a.json", f"[{GOOD}".encode(), ["element 1", "cut off"]),
    ("array of nothing but a bracket", "a.json", b"[", ["cut off"]),
    ("bare words", "a.json", f"[{GOOD}, {MARKER}]".encode(), ["element 2", "not valid JSON"]),
    (
        "bad in a long file",
        "a.json",
        f"[{MARKER}, {','.join([GOOD] * 2000)}]".encode(),
        ["element 1", "not valid"],
    ),
    ("no zip", "a.zip", b"PK\x03$\x14\x00\x00\x00", ["not a zip archive, whatever its name says"]),
    ("no comma", "a.json", f"[{GOOD} {GOOD}]".encode(), ["element 1", "comma"]),
    ("comma at the end", "a.json", f"[{GOOD},]".encode(), ["element 2", "not valid JSON"]),
    ("more behind", "a.json", f"[{GOOD}] {MARKER}".encode(), ["continues"]),
    ("not JSON", "a.json", MARKER.encode(), ["should begin with ["]),
    ("Latin-1", "a.json", f'[{GOOD}, "\xe9"]'.encode("latin-1"), ["UTF-8"]),
    ("deep", "a.json", b"[" * 200_000, ["nesting"]),
    ("long number", "a.json", b"[" + b"9" * 5000 + b"]", ["element 1"]),
    ("bad line", "a.jsonl", f"{GOOD}\n\n{GOOD[:80]}\n{GOOD}".encode(), ["line 3", "not a JSON value"]),
    ("last line cut", "a.jsonl", f"{GOOD}\n{GOOD[:80]}".encode(), ["line 2", "cut off"]),
    ("deep line", "a.jsonl", b"[" * 200_000, ["element 1"]),
    ("Latin-1 line", "a.jsonl", f'{GOOD}\n{{"id": "{MARKER}\xe9"}}\n'.encode("latin-1"), ["line 2", "UTF-8"]),
    (
        "encoding",
        "a.csv",
        f"id,content\n1,{MARKER}\n2,caf\xe9".encode("cp1252"),
        ["byte 32", "line 3", "encoding="],
    ),
    (
        "encoding, far",
        "a.csv",
        b"id,content\n" + b"1,xxxxxx\n" * 9000 + b"2,\xe9",
        ["byte 81,014", "line 9,002"],
    ),
    ("encoding, Chinese", "a.csv", f"id,content\n1,{MARKER}中文".encode("gb18030"), ["encoding=", "gb18030"]),
    (
        "no column",
        "a.csv",
        f"id,story_so_far\n1,{MARKER}\n".encode(),
        ["content", "id, story_so_far", "fields="],
    ),
    ("no header", "a.csv", f'1,"{MARKER} and this is text"\n'.encode(), ["2 values", "columns=["]),
    (
        "no header, names of people",
        "a.csv",
        f"{MARKER},Berlin\nAnna,Paris\n".encode(),
        ["2 values", "columns=["],
    ),
    ("twice", "a.csv", b"id,content,x,x\n1,a,b,c\n", ["x more than once"]),
    ("open quote", "a.csv", f'id,content\n1,a\n2,"{MARKER}\n3,b\n'.encode(), ["line 3", "quote"]),
    ("merged rows", "a.tsv", f'id\tcontent\n1\t"{MARKER}\n2\tx"\n'.encode(), ["quotes", "quoting="]),
    ("content type", "a.parquet", parquet(id=["1"], content=[7]), ["'content'", "int64", "string"]),
    ("binary content", "a.parquet", parquet(id=["1"], content=[MARKER.encode()]), ["'content'", "binary"]),
    ("id type", "a.parquet", parquet(id=[[1]], content=[MARKER]), ["'id'", "list"]),
    ("no column", "a.parquet", parquet(key=["1"], words=[MARKER]), ["content", "key, words"]),
    ("cut", "a.parquet", parquet(id=LONG, content=LONG)[:-20], ["cut off", "Parquet"]),
    ("no Parquet", "a.parquet", f"[{GOOD}]".encode(), ["not a Parquet file"]),
    (
        "outside gzip, cut",
        "a.parquet.gz",
        gzip.compress(parquet(id=LONG, content=LONG))[:-20],
        ["gzip", "cut off"],
    ),
    (
        "not UTF-8",
        "a.parquet",
        parquet(id=["1"], content=pa.array([MARKER.encode() + b"\xff"]).view(pa.string())),
        ["after row 0", "damaged"],
    ),
    ("gzip cut", "a.jsonl.gz", gzip.compress(f"{GOOD}\n".encode() * 999)[:-9], ["gzip", "cut off"]),
    ("gzip stub", "a.csv.gz", gzip.compress(b"id,content\n1,a\n")[:12], ["gzip", "cut off"]),
    (
        "gzip damaged",
        "a.json.gz",
        gzip.compress(f"[{GOOD}]".encode())[:-8] + b"12345678",
        ["gzip", "damaged"],
    ),
    (
        "zstd cut",
        "a.jsonl.zst",
        pa.compress(f"{GOOD}\n".encode() * 99, "zstd", asbytes=True)[:-5],
        ["zstd", "cut off"],
    ),
]


def everything_said(error: BaseException) -> str:
    said: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        said.append(f"{chain!s} {chain!r} {chain.args} {vars(chain)} {getattr(chain, 'object', '')!r}")
        chain = chain.__cause__ or chain.__context__
    return "".join(said)


@pytest.mark.parametrize(
    ("name", "data", "words"), [case[1:] for case in CASES], ids=[c[1] + ", " + c[0] for c in CASES]
)
def test_a_bad_file_is_named_with_place_and_remedy_and_without_its_text(
    name: str, data: bytes, words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError) as caught:
        list(iter_articles(UPath(path)))
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert MARKER not in everything_said(caught.value)
    assert MARKER not in caplog.text


def test_good_rows_before_a_cut_come_out_first(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f"[{GOOD}, {GOOD[:30]}")
    rows = iter_articles(UPath(path))
    assert next(rows).article_id == "1"
    with pytest.raises(InputError, match="element 2"):
        next(rows)


def test_a_damaged_page_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {"id": [str(n) for n in range(5000)], "content": [f"{MARKER}{n}" for n in range(5000)]}
    pq.write_table(pa.table(rows), path, compression="zstd", row_group_size=1000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    with pytest.raises(InputError, match="after row") as caught:
        list(iter_articles(UPath(path)))
    assert MARKER not in everything_said(caught.value)


def test_an_unknown_encoding_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,content\n")
    with pytest.raises(ConfigurationError, match="klingon"):
        list(iter_articles(UPath(tmp_path), encoding="klingon"))


def test_absent_sources(tmp_path: Path) -> None:
    for source in (tmp_path / "a.json", tmp_path / "*.json", tmp_path / "no" / "**" / "*.json"):
        with pytest.raises(InputError, match="nothing at"):
            find_files(UPath(source))
        assert find_files(UPath(source), missing_ok=True).paths == []
        with pytest.raises(InputError, match="nothing at"):
            list(iter_articles(UPath(source)))
    with pytest.raises(InputError, match="is empty"):
        find_files(UPath(tmp_path))


def test_an_unknown_suffix(tmp_path: Path) -> None:
    for name in ("a.docx", "c", "d.csv", ".e.csv", "_f.csv"):
        (tmp_path / name).write_text("some words\n")
    (tmp_path / "g.csv").mkdir()
    for name in ("a.docx", "c"):
        with pytest.raises(InputError, match=r"no known format|it is a text document"):
            list(iter_articles(UPath(tmp_path / name)))
    found = find_files(UPath(tmp_path))
    assert [file.name for file in found] == ["d.csv"]
    assert [Path(name).name for name in found.report.skipped] == ["_f.csv", "a.docx", "c"]
    assert "a.docx" in found.report.notes()[0]


def test_a_folder_of_nothing_that_can_be_read_is_no_empty_day(tmp_path: Path) -> None:
    for name in ("a.docx", "b.sqlite"):
        (tmp_path / name).write_text("some words\n")
    for missing_ok in (False, True):
        with pytest.raises(InputError, match=r"holds 2 file\(s\), none of which .*a\.docx"):
            find_files(UPath(tmp_path), missing_ok=missing_ok)


def refuse(*_args: Any, **_kwargs: Any) -> Any:
    raise PermissionError("AccessDenied")


@pytest.mark.parametrize("operation", ["ls", "_open"])
def test_a_store_that_says_no(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    UPath("memory://locked/a.jsonl").write_text(GOOD)
    monkeypatch.setattr(MemoryFileSystem, operation, refuse)
    with pytest.raises(InputError, match=r"memory://locked.* may not be read by this user"):
        list(iter_articles(UPath("memory://locked")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("locked", ["in", "in/a.jsonl"])
def test_local_files_without_permission(locked: str, tmp_path: Path) -> None:
    """In a child process that is not root, because root may read everything."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(GOOD)
    (tmp_path / locked).chmod(0)
    program = textwrap.dedent(
        """
        import os, sys
        from upath import UPath
        from nightpress.articles.reader import iter_articles
        from nightpress.errors import InputError
        if os.geteuid() == 0:
            os.seteuid(65534)
        for source in (".", "a.jsonl"):
            try:
                list(iter_articles(UPath(source)))
            except InputError as error:
                assert "may not be read" in str(error), str(error)
            else:
                sys.exit("it was read")
        """
    )
    descriptor = os.open(tmp_path / "in", os.O_RDONLY)
    try:
        child = subprocess.run(
            [sys.executable, "-c", program],
            preexec_fn=lambda: os.fchdir(descriptor),
            env={"PYTHONPATH": str(Path.cwd() / "include"), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(descriptor)
        (tmp_path / locked).chmod(0o755)
    assert child.returncode == 0, child.stderr


def test_a_zip_whose_numbers_lead_before_its_beginning_is_damaged(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.jsonl", '{"id": "1", "content": "x"}\n')
    whole = bytearray(data.getvalue())
    end = whole.rindex(b"PK\x05\x06")
    for added in (10, 2**31):
        damaged = bytearray(whole)
        damaged[end + 16 : end + 20] = (
            int.from_bytes(whole[end + 16 : end + 20], "little") + added
        ).to_bytes(4, "little")
        (tmp_path / "a.zip").write_bytes(damaged)
        with pytest.raises(InputError, match="zip archive and cut off, damaged"):
            list(iter_articles(UPath(tmp_path / "a.zip")))


@pytest.mark.parametrize("stream", [False, True])
def test_an_arrow_file_whose_offsets_lead_elsewhere_is_damaged(tmp_path: Path, stream: bool) -> None:
    table = pa.table({"id": ["1", "2"], "content": ["a" * 77, "b" * 77]})
    path = tmp_path / "a.arrow"
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
        writer.write_table(table)
    whole = path.read_bytes()
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 77, 154))
    assert whole.count(offsets) == 1
    path.write_bytes(whole.replace(offsets, offsets[:8] + (2**30).to_bytes(4, "little")))
    with pytest.raises(InputError, match="damaged"):
        list(iter_articles(UPath(path)))
