"""Formats by a file's name or its first bytes: the readable formats, and messages about others."""

from __future__ import annotations

import re

from nightpress.articles.table_dialect import header_delimiter

SUFFIXES = {
    **dict.fromkeys((".json",), "json"),
    **dict.fromkeys((".jsonl", ".ndjson", ".jsonlines", ".jl"), "jsonl"),
    **dict.fromkeys((".csv",), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".psv",), "psv"),
    **dict.fromkeys((".parquet", ".pq", ".parq"), "parquet"),
    **dict.fromkeys((".feather", ".arrow", ".arrows", ".ipc"), "arrow"),
    **dict.fromkeys((".orc",), "orc"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), "xlsx"),
    **dict.fromkeys((".xml", ".nxml", ".tei"), "xml"),
    **dict.fromkeys((".rss", ".atom"), "feed"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".txt", ".text"), "text"),
    **dict.fromkeys((".html", ".htm"), "html"),
}
"""Format by suffix of the name; the content is checked anyway."""

_OTHER_KINDS = {
    **dict.fromkeys(
        (".doc", ".docx", ".rtf", ".odt", ".pages"), "it is a text document; save it as text or HTML"
    ),
    **dict.fromkeys((".ppt", ".pptx", ".odp", ".key"), "it is a presentation; save it as text"),
    **dict.fromkeys((".pdf", ".ps", ".djvu"), "it is made for print; extract its text first"),
    **dict.fromkeys((".epub", ".mobi"), "it is an e-book; extract its text first"),
    **dict.fromkeys(
        (".warc", ".wet", ".wat"), "it is a web archive; extract its texts first, and save them as JSON lines"
    ),
    **dict.fromkeys((".ris", ".nbib", ".enw"), "it is a list of references; export it as CSV, JSON or XML"),
    **dict.fromkeys((".srt", ".vtt"), "it has subtitles; name it alone, with format=text"),
    **dict.fromkeys((".eml", ".msg", ".mbox"), "it holds e-mails; save them as JSON lines"),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3", ".duckdb"), "it is a database; read it with sql(…), or export a table"
    ),
    **dict.fromkeys(
        (".sql", ".dump", ".bson"), "it is a dump of a database; export a table as CSV or JSON lines"
    ),
    **dict.fromkeys(
        (".avro", ".pkl", ".pickle", ".h5", ".hdf5", ".npy", ".npz", ".rds", ".sas7bdat", ".dta"),
        "save it as Parquet",
    ),
    **dict.fromkeys((".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar"), "it is an archive; unpack it first"),
    **dict.fromkeys(
        (".yaml", ".yml", ".toml", ".ini", ".cfg", ".lock", ".bib"), "such files are read as no articles"
    ),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".ico", ".bmp", ".tif", ".tiff", ".heic"),
        "it is a picture",
    ),
    **dict.fromkeys(
        (".mp3", ".m4a", ".wav", ".ogg", ".mp4", ".webm", ".mov", ".avi", ".mkv"),
        "it is a recording; write down what is said in it first",
    ),
    **dict.fromkeys((".ttf", ".otf", ".woff", ".woff2", ".css"), "it only gives a web page its look"),
    ".js": "it is JavaScript; if data is in it, save what begins at the first [ or { as .json",
    ".ipynb": "it is a notebook; save it as Markdown",
    **dict.fromkeys(
        (".part", ".partial", ".crdownload", ".filepart", ".download", ".tmp"),
        "it is still being written or copied, or was left so; wait until it has its own name",
    ),
    **dict.fromkeys(
        (".rst", ".adoc", ".org", ".tex", ".mdx", ".qmd", ".textile"), "name it alone, with format=text"
    ),
}
"""Messages about other files by suffix. A suffix is no proof, so a file named alone is opened anyway."""

COMPRESSION_SUFFIXES = frozenset(
    {".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".lz4", ".zip", ".snappy", ".br"}
)
DOCUMENTS = frozenset({"markdown", "text", "html"})
"""Formats in which a file is one article."""

KNOWN_SUFFIXES = (
    ".json, .jsonl, .ndjson, .csv, .tsv, .psv, .parquet, .feather, .arrow, .orc, .xlsx, .xml, .rss, .md, .txt, .html "
    "(text also with .gz, .zst, .bz2, .xz or .zip)"
)

STRANGERS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch it with: git lfs pull"),
    (b"PARE", "is an encrypted Parquet file; write it without encryption"),
    (b"FEA1", "is a Feather file of version 1; write it again with a current version"),
    (b"WARC/", "is a web archive; extract its texts first, and save them as JSON lines"),
    (b"%PDF", "is a PDF; extract its text first"),
    (b"SQLite format 3\x00", "is an SQLite database; read it with sql(…), or export a table"),
    (b"\x80\x04\x95", "is a Python pickle, which is never opened; save it as Parquet"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"\xff\x06\x00\x00sNaPpY", "is compressed with snappy; write it with gzip or zstd"),
    (b"Obj\x01", "is an Avro file; save it as Parquet"),
    (b"\x89HDF", "is an HDF5 file; save it as Parquet"),
    (b"\x93NUMPY", "is a NumPy file; save it as Parquet"),
)
"""First bytes of other kinds of files, and the messages about them."""


def format_of(name: str) -> str:
    """Return the format for a file's name, or an empty string.

    >>> format_of("a.csv.gz"), format_of("part-0.snappy.parquet"), format_of("a.parquet.gzip"), format_of("a.docx")
    ('csv', 'parquet', 'parquet', '')
    """
    suffixes = [f".{part}" for part in name.lower().split(".")[1:]]
    while suffixes and suffixes[-1] in COMPRESSION_SUFFIXES:
        if suffixes.pop() == ".zip" and not suffixes:
            return "zip"
    return SUFFIXES.get(suffixes[-1], "") if suffixes else ""


def other_kind(name: str) -> str:
    """Return the message about a file whose name shows another kind; empty if it does not."""
    suffixes = [f".{part}" for part in name.lower().split(".")[1:]]
    return next((_OTHER_KINDS[suffix] for suffix in reversed(suffixes) if suffix in _OTHER_KINDS), "")


def why_unknown(name: str) -> str:
    """Return why a file with this name is skipped while files beside it are read."""
    return other_kind(name) or "its name says nothing about its format; name it alone, or with format="


def data_in_text(start: str) -> str:
    """Return what the beginning of a text file shows it to be, and the setting that reads it; empty for a text."""
    said = "though its name says that it is a text; say"
    if header_delimiter(start.partition("\n")[0]):
        return f"a table, {said} format='csv'"
    if re.match(r'\[\s*\{\s*"|\{\s*"(?:[^"\\]|\\.){1,200}"\s*:', start):
        return f"JSON, {said} format='json'"
    if re.match(r"<\?xml\s", start):
        return f"XML, {said} format='xml'"
    rows = [line.strip().count("\t") for line in start.split("\n")[:-1] if line.strip()]
    labelled = re.match(r"\s*[^\t\n]{0,40}[.:)]\t", start)  # a numbered list, or who speaks
    if (
        len(rows) > 2 and min(rows) == max(rows) > 0 and not labelled
    ):  # other prose has no tabs, least of all as many in each line
        return f"a table without a header, {said} format='tsv' and columns=['id', 'content', …]"
    return ""
