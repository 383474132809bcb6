"""Typical sources, written by the usual tools, with the rows read from each or the reason for its refusal."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.orc

ROWS: list[dict[str, Any]] = [
    {
        "id": "a1",
        "title": "Rain, at last",
        "content": 'It rained; "at last", they said.\nTwo lines, one text.',
    },
    {"id": "a2", "title": "雨が降った", "content": "ようやく雨が降った。畑は助かった。"},
    {"id": "a3", "title": "Café ouvert", "content": "Le café, fermé depuis l'été, a rouvert — enfin."},
]
WESTERN = [
    {
        "id": f"w{n}",
        "title": "Überschwemmung",
        "content": f"Nr. {n}: Der Fluß trat über die Ufer; Straßen, Gärten und Häuser stehen unter Wasser, so Jürgen.",
    }
    for n in range(3)
]
ONE_LINE = [{**row, "content": row["content"].replace("\n", " ").replace('"', "'")} for row in ROWS]

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    :param name: shown to people; a row of the table in docs/sources.md.
    :param write: writes it and returns the path to give as the source.
    :param rows: the expected id, title and content of each row; None when it is refused.
    :param fields, options: settings needed to read it.
    :param words: expected in the message that refuses it.
    :param own_ids: False when the ids are generated.
    """

    name: str
    write: Callable[[Path], Path]
    rows: Rows | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    own_ids: bool = True


def _bytes(name: str, data: bytes | str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def _frame(rows: Rows = ROWS) -> pd.DataFrame:
    return pd.DataFrame(rows)


def _pandas(name: str, method: str, rows: Rows = ROWS, **arguments: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        getattr(_frame(rows), method)(folder / name, **arguments)
        return folder / name

    return write


def _polars(name: str, method: str, rows: Rows = ROWS, **arguments: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        getattr(pl.DataFrame(rows), method)(folder / name, **arguments)
        return folder / name

    return write


def _duckdb(name: str, options: str, rows: Rows = ROWS) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        frame = _frame(rows)
        connection = duckdb.connect()
        connection.register("frame", frame)
        connection.execute(f"COPY (SELECT * FROM frame) TO '{folder / name}' ({options})")
        return folder / name

    return write


def _lines(rows: Rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _renamed(rows: Rows, **names: str) -> Rows:
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def _without_id(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def _without_content(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "content"}


def _files(files: Mapping[str, bytes | str]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for name, data in files.items():
            path = folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder / "source"

    return write


def _csv(rows: Rows, **arguments: Any) -> str:
    text: str = _frame(rows).to_csv(index=False, **arguments)
    return text


def _arrow(name: str, write_table: Callable[[pa.Table, str], None]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_table(pa.Table.from_pylist(ROWS), str(folder / name))
        return folder / name

    return write


def _arrow_stream(table: pa.Table, path: str) -> None:
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _json_file(value: object) -> Callable[[Path], Path]:
    return _bytes("a.json", json.dumps(value, ensure_ascii=False))


def _zip(files: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def _zip_in_zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("b.zip", _zip({"a.jsonl": _lines(ROWS)}))
    return data.getvalue()


def _sqlite(folder: Path) -> Path:
    connection = sqlite3.connect(folder / "a.sqlite")
    connection.execute("CREATE TABLE articles (id TEXT)")
    connection.commit()
    connection.close()
    return folder / "a.sqlite"


def _hive(folder: Path) -> Path:
    pl.DataFrame([{**row, "lang": row["id"]} for row in ROWS]).write_parquet(
        folder / "source", partition_by="lang"
    )
    return folder / "source"


def _delta(folder: Path) -> Path:
    import deltalake

    table = pa.Table.from_pylist([{"id": "old", "title": "gone", "content": "This row was overwritten."}])
    deltalake.write_deltalake(str(folder / "source"), table)
    deltalake.write_deltalake(str(folder / "source"), pa.Table.from_pylist(ROWS), mode="overwrite")
    return folder / "source"


def _iceberg(folder: Path) -> Path:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog(
        "tests", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse"
    )
    catalog.create_namespace("news")
    rows = pa.Table.from_pylist([{**ROWS[0], "id": "old"}])
    table = catalog.create_table("news.articles", schema=rows.schema)
    table.append(rows)
    table.overwrite(pa.Table.from_pylist([*ROWS, {**ROWS[0], "id": "deleted"}]))
    table.delete("id = 'deleted'")
    return Path(table.location().removeprefix("file://"))


def _two_sheets(folder: Path) -> Path:
    with pd.ExcelWriter(folder / "a.xlsx") as writer:
        _frame().to_excel(writer, sheet_name="new", index=False)
        _frame(WESTERN).to_excel(writer, sheet_name="old", index=False)
    return folder / "a.xlsx"


def _tar(folder: Path) -> Path:
    import tarfile

    (folder / "a.jsonl").write_text(_lines(ROWS))
    with tarfile.open(folder / "a.jsonl.gz", "w:gz") as archive:
        archive.add(folder / "a.jsonl", "a.jsonl")
    return folder / "a.jsonl.gz"


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-20])
    return path


def _empty(folder: Path) -> Path:
    (folder / "source").mkdir()
    return folder / "source"


_RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>
{items}</channel></rss>"""
_RSS_ITEM = (
    "<item><guid>{id}</guid><title>{title}</title><link>https://example.org/{id}</link>"
    "<content:encoded><![CDATA[<p>{content}</p>]]></content:encoded></item>"
)
_ATOM = """<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>{items}</feed>"""
_ATOM_ITEM = "<entry><id>{id}</id><title>{title}</title><content type='text'>{content}</content></entry>"
_WORDPRESS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:wp="http://wordpress.org/export/1.2/"><channel><title>Blog</title>{items}
<item><title>A picture</title><wp:post_id>99</wp:post_id><wp:post_type>attachment</wp:post_type>
<wp:status>inherit</wp:status></item>
<item><title>A draft</title><content:encoded>Not yet.</content:encoded><wp:post_id>98</wp:post_id>
<wp:post_type>post</wp:post_type><wp:status>draft</wp:status></item></channel></rss>"""
_WORDPRESS_ITEM = (
    "<item><title>{title}</title><link>https://example.org/{id}</link><content:encoded><![CDATA[{content}]]>"
    "</content:encoded><excerpt:encoded></excerpt:encoded><wp:post_id>{id}</wp:post_id>"
    "<wp:post_type>post</wp:post_type><wp:status>publish</wp:status></item>"
)
_XML_ITEM = "<article><id>{id}</id><title>{title}</title><body>{content}</body></article>"
_PUBMED_START = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2026//EN" "https://example.org/pubmed.dtd">
<PubmedArticleSet>"""
_PUBMED_ITEM = (
    "<PubmedArticle><MedlineCitation Status='MEDLINE'><PMID Version='1'>{id}</PMID><Article><Journal><Title>Rain"
    "</Title></Journal><ArticleTitle>{title}</ArticleTitle><Abstract><AbstractText Label='AIM'>{content}</AbstractText>"
    "<AbstractText Label='END'><i>It</i> ended.</AbstractText><CopyrightInformation>Ours.</CopyrightInformation>"
    "</Abstract><AuthorList><Author><LastName>Li</LastName></Author><Author><LastName>Bo</LastName></Author>"
    "</AuthorList></Article></MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType='pubmed'>{id}</ArticleId>"
    "</ArticleIdList></PubmedData></PubmedArticle>"
)
_JATS = (
    "<?xml version='1.0'?><!DOCTYPE article PUBLIC '-//NLM//DTD JATS' 'JATS.dtd'><article><front><article-meta>"
    "<article-id pub-id-type='pmid'>{id}</article-id><article-id pub-id-type='doi'>10.1/{id}</article-id><title-group>"
    "<article-title>{title}</article-title></title-group><abstract><p>Short.</p></abstract></article-meta></front><body>"
    "<sec><title>Start</title><p>{content}</p><p>More <italic>in</italic> words.</p></sec><sec><title>End</title>"
    "<p>Done.</p></sec></body><back><ref-list><ref><article-title>Another</article-title></ref><ref><p>X</p></ref>"
    "</ref-list></back></article>"
)
_NITF = (
    "<nitf><head><title>{title}</title></head><body><body.head><hedline><hl1>{title}</hl1></hedline></body.head>"
    "<body.content><block><p>{content}</p><p>More.</p></block></body.content></body></nitf>"
)
_NEWSML = (
    "<newsItem xmlns='http://iptc.org/std/nar/2006-10-01/' guid='{id}'><contentMeta><headline>{title}</headline>"
    "</contentMeta><contentSet><inlineXML><html xmlns='http://www.w3.org/1999/xhtml'><body><p>{content}</p><p>More.</p>"
    "</body></html></inlineXML></contentSet></newsItem>"
)
_TEI = (
    "<TEI xmlns='http://www.tei-c.org/ns/1.0' xml:id='{id}'><teiHeader><fileDesc><titleStmt><title>{title}</title>"
    "</titleStmt><sourceDesc><p>Paper.</p></sourceDesc></fileDesc></teiHeader><text><body><div><head>One</head>"
    "<p>{content}</p></div><div><head>Two</head><p>More.</p></div></body></text></TEI>"
)
_KIND = "<category scheme='http://schemas.google.com/g/2005#kind' term='http://schemas.google.com/blogger/2008/kind#{}'/>"
_BLOGGER = (
    "<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom' xmlns:app='http://purl.org/atom/app#'>"
    "<title>Blog</title><entry><id>s</id>"
    + _KIND.format("settings")
    + "<title>Setting</title><content type='text'>true</content></entry>{items}<entry><id>c</id>"
    + _KIND.format("comment")
    + "<title>Nice</title><content type='html'>Nice.</content></entry><entry><id>d</id>"
    + _KIND.format("post")
    + "<app:control><app:draft>yes</app:draft></app:control><title>Draft</title><content>No.</content></entry></feed>"
)
_BLOGGER_ITEM = (
    "<entry><id>{id}</id>"
    + _KIND.format("post")
    + "<title>{title}</title><content type='html'>{content}</content></entry>"
)
_PAGE = "<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>"


def _each(item: str, rows: Rows = ROWS) -> str:
    escaped = [{name: value.replace("&", "&amp;") for name, value in row.items()} for row in rows]
    return "".join(item.format(**row) for row in escaped)


_TSV_MYSQL = "id\ttitle\tcontent\tnote\n" + "".join(
    f"{row['id']}\t{row['title']}\t" + row["content"].replace("\\", "\\\\").replace("\n", "\\\n") + "\t\\N\n"
    for row in ROWS
)
_TSV_POSTGRES = "id\ttitle\tcontent\tnote\n" + "".join(
    f"{row['id']}\t{row['title']}\t" + row["content"].replace("\\", "\\\\").replace("\n", "\\n") + "\t\\N\n"
    for row in ROWS
)
_MONGO = "".join(
    json.dumps(
        {"_id": {"$oid": row["id"]}, "title": row["title"], "body": row["content"]}, ensure_ascii=False
    )
    + "\n"
    for row in ROWS
)
_ELASTIC = "".join(
    json.dumps(
        {"_index": "news", "_id": row["id"], "_source": {"headline": row["title"], "body": row["content"]}},
        ensure_ascii=False,
    )
    + "\n"
    for row in ROWS
)
_WP_REST = json.dumps(
    [
        {
            "id": row["id"],
            "title": {"rendered": row["title"]},
            "content": {"rendered": row["content"], "protected": False},
        }
        for row in ROWS
    ]
)
_HTML = (
    "<!DOCTYPE html><html lang='en'><head><title>{title}</title></head><body><nav>Home | News</nav><article><h1>{title}"
    "</h1><p>{content}</p></article><footer>Imprint</footer></body></html>"
)
_PROSE = (
    "The bridge over the river was closed on Monday, because the water had risen above the mark that the engineers had "
    "set for it in spring. It will be opened again when the level has fallen for two days in a row, the town said."
)

READ: list[Kind] = [
    Kind("JSON array", _pandas("a.json", "to_json", orient="records", force_ascii=False), ROWS),
    Kind("JSON array, pretty printed", _bytes("a.json", json.dumps(ROWS, indent=2)), ROWS),
    Kind("JSON lines in .jsonl", _pandas("a.jsonl", "to_json", orient="records", lines=True), ROWS),
    Kind("JSON lines in .json (pandas, Spark, BigQuery)", _bytes("a.json", _lines(ROWS)), ROWS),
    Kind("JSON lines in .json.gz", _bytes("a.json.gz", gzip.compress(_lines(ROWS).encode())), ROWS),
    Kind("JSON lines by polars", _polars("a.ndjson", "write_ndjson"), ROWS),
    Kind("JSON lines by DuckDB", _duckdb("a.json", "FORMAT json"), ROWS),
    Kind("JSON array by DuckDB", _duckdb("a.json", "FORMAT json, ARRAY true"), ROWS),
    Kind("JSON array in .jsonl", _bytes("a.jsonl", json.dumps(ROWS)), ROWS),
    Kind(
        "JSON objects one after the other, pretty printed",
        _bytes("a.json", "\n".join(json.dumps(r, indent=2) for r in ROWS)),
        ROWS,
    ),
    Kind("JSON, pandas' default (columns)", _pandas("a.json", "to_json"), ROWS),
    Kind("JSON, pandas, orient split", _pandas("a.json", "to_json", orient="split"), ROWS),
    Kind("JSON, pandas, orient index", _pandas("a.json", "to_json", orient="index"), ROWS),
    Kind("JSON, pandas, orient table", _pandas("a.json", "to_json", orient="table"), ROWS),
    Kind(
        "a list in a JSON object",
        _bytes("a.json", json.dumps({"status": "ok", "total": 3, "articles": ROWS})),
        ROWS,
    ),
    Kind(
        "a list deeper in a JSON object",
        _bytes("a.json", json.dumps({"data": {"items": ROWS}, "next": None})),
        ROWS,
    ),
    Kind(
        "one JSON object a file, in a folder", _files({f"{r['id']}.json": json.dumps(r) for r in ROWS}), ROWS
    ),
    Kind("mongoexport", _bytes("a.json", _MONGO), ROWS),
    Kind("Elasticsearch hits", _bytes("a.json", _ELASTIC), ROWS),
    Kind("WordPress REST API", _bytes("a.json", _WP_REST), ROWS),
    Kind(
        "content as a list of paragraphs",
        _bytes("a.jsonl", _lines([{**r, "content": r["content"].split("\n\n")} for r in ROWS])),
        ROWS,
    ),
    Kind(
        "other usual names (headline, text)",
        _bytes("a.jsonl", _lines(_renamed(ROWS, title="headline", content="text"))),
        ROWS,
    ),
    Kind(
        "names in capitals",
        _bytes("a.csv", _csv(_renamed(ROWS, id="ID", title="Title", content="CONTENT"))),
        ROWS,
    ),
    Kind("a URL for an id", _bytes("a.jsonl", _lines(_renamed(ROWS, id="url"))), ROWS),
    Kind("no id at all", _bytes("a.jsonl", _lines(_without_id(ROWS))), ROWS, own_ids=False),
    Kind("JSON, UTF-16", _bytes("a.json", json.dumps(ROWS, ensure_ascii=False).encode("utf-16")), ROWS),
    Kind(
        "JSON lines, UTF-8 with a byte order mark",
        _bytes("a.jsonl", b"\xef\xbb\xbf" + _lines(ROWS).encode()),
        ROWS,
    ),
    Kind("JSON lines, .bz2", _bytes("a.jsonl.bz2", bz2.compress(_lines(ROWS).encode())), ROWS),
    Kind("JSON lines, .xz", _bytes("a.jsonl.xz", lzma.compress(_lines(ROWS).encode())), ROWS),
    Kind(
        "JSON lines, .zst",
        _bytes("a.jsonl.zst", pa.compress(_lines(ROWS).encode(), "zstd", asbytes=True)),
        ROWS,
    ),
    Kind("gzip under a plain name", _bytes("a.jsonl", gzip.compress(_lines(ROWS).encode())), ROWS),
    Kind("a zip of CSV", _bytes("a.zip", _zip({"x/a.csv": _csv(ROWS), "__MACOSX/x/._a.csv": "-"})), ROWS),
    Kind("CSV by pandas", _pandas("a.csv", "to_csv", index=False), ROWS),
    Kind("CSV by pandas with its index", _pandas("a.csv", "to_csv"), ROWS),
    Kind("CSV by polars", _polars("a.csv", "write_csv"), ROWS),
    Kind("CSV by DuckDB", _duckdb("a.csv", "FORMAT csv, HEADER"), ROWS),
    Kind(
        "CSV by Excel, German (semicolons, cp1252)",
        _bytes("a.csv", _csv(WESTERN, sep=";", lineterminator="\r\n").encode("cp1252")),
        WESTERN,
    ),
    Kind(
        "CSV by Excel, UTF-8 (byte order mark)",
        _pandas("a.csv", "to_csv", index=False, encoding="utf-8-sig"),
        ROWS,
    ),
    Kind(
        "CSV by Excel, Unicode text (UTF-16, tabs)",
        _bytes("a.csv", _csv(ROWS, sep="\t").encode("utf-16")),
        ROWS,
    ),
    Kind("CSV with sep= in its first line", _bytes("a.csv", "sep=;\r\n" + _csv(ROWS, sep=";")), ROWS),
    Kind(
        "CSV with empty trailing columns",
        _bytes("a.csv", "\n".join(line + ",," for line in _csv(ONE_LINE).splitlines()) + "\n"),
        ONE_LINE,
    ),
    Kind("CSV with a blank first line", _bytes("a.csv", "\n" + _csv(ROWS)), ROWS),
    Kind("CSV separated by |", _bytes("a.csv", _csv(ROWS, sep="|")), ROWS),
    Kind("TSV", _pandas("a.tsv", "to_csv", index=False, sep="\t"), ROWS),
    Kind("PSV", _pandas("a.psv", "to_csv", index=False, sep="|"), ROWS),
    Kind(
        "TSV with quotes as text",
        _bytes("a.tsv", 'id\ttitle\tcontent\na\t"Rain"\t"At last" it rained\nb\tSun\t"shine\n'),
        [
            {"id": "a", "title": '"Rain"', "content": '"At last" it rained'},
            {"id": "b", "title": "Sun", "content": '"shine'},
        ],
    ),
    Kind(
        "CSV with backslashes before quotes (Spark)",
        _bytes("a.csv", _frame().to_csv(index=False, escapechar="\\", doublequote=False)),
        ROWS,
    ),
    Kind(r"MySQL export (\N, backslashes)", _bytes("a.tsv", _TSV_MYSQL), ROWS),
    Kind(r"Postgres COPY (\N, backslashes)", _bytes("a.tsv", _TSV_POSTGRES), ROWS),
    Kind("Parquet by pandas", _pandas("a.parquet", "to_parquet"), ROWS),
    Kind("Parquet by polars, .pq", _polars("a.pq", "write_parquet"), ROWS),
    Kind("Parquet by DuckDB", _duckdb("a.parquet", "FORMAT parquet"), ROWS),
    Kind("Parquet named .parquet.gzip", _pandas("a.parquet.gzip", "to_parquet", compression="gzip"), ROWS),
    Kind(
        "Parquet inside gzip",
        lambda folder: _bytes(
            "a.parquet.gz", gzip.compress(_pandas("b.parquet", "to_parquet")(folder).read_bytes())
        )(folder),
        ROWS,
    ),
    Kind("Parquet, folders lang=…", _hive, ROWS),
    Kind(
        "Spark's folder (part-…, _SUCCESS)",
        _files(
            {"_SUCCESS": "", **{f"part-0000{n}-x-c000.json": _lines([row]) for n, row in enumerate(ROWS)}}
        ),
        ROWS,
    ),
    Kind("Feather", _pandas("a.feather", "to_feather"), ROWS),
    Kind("Arrow by polars", _polars("a.arrow", "write_ipc"), ROWS),
    Kind("Arrow stream", _arrow("a.arrows", _arrow_stream), ROWS),
    Kind("ORC", _arrow("a.orc", pa.orc.write_table), ROWS),
    Kind("XLSX", _pandas("a.xlsx", "to_excel", index=False), ROWS),
    Kind("Iceberg table after an overwrite and a delete", _iceberg, ROWS),
    Kind("Delta table after an overwrite", _delta, ROWS),
    Kind(
        "Markdown with front matter",
        _files({f"{r['id']}.md": f'---\ntitle: "{r["title"]}"\n---\n{r["content"]}' for r in ROWS}),
        ROWS,
    ),
    Kind(
        "Hugo (TOML front matter)",
        _files(
            {f"{row['id']}.md": f'+++\ntitle = "{row["title"]}"\n+++\n{row["content"]}\n' for row in ROWS}
        ),
        ROWS,
    ),
    Kind(
        "Jekyll (_posts)",
        _files(
            {f"_posts/{row['id']}.md": f'---\ntitle: "{row["title"]}"\n---\n{row["content"]}' for row in ROWS}
        ),
        [{**row, "id": f"_posts/{row['id']}"} for row in ROWS],
    ),
    Kind(
        "Stack Exchange dump (rows of attributes)",
        _bytes(
            "a.xml",
            "<?xml version='1.0' encoding='utf-8'?>\n<posts>\n"
            + "".join(
                f'<row Id="{r["id"]}" Title="{r["title"]}" Body="{r["content"]}" />\n' for r in ONE_LINE
            )
            + "</posts>",
        ),
        ONE_LINE,
    ),
    Kind(
        "two usual names, of which one is always empty (Reddit)",
        _bytes("a.jsonl", _lines([{**_renamed([row], content="selftext")[0], "body": None} for row in ROWS])),
        ROWS,
    ),
    Kind(
        "text files",
        _files({f"{r['id']}.txt": r["content"] for r in ROWS}),
        [{**r, "title": ""} for r in ROWS],
    ),
    Kind(
        "HTML pages",
        _files({"p1.html": _HTML.format(title="Bridge closed", content=_PROSE)}),
        [{"id": "p1", "title": "Bridge closed", "content": _PROSE}],
    ),
    Kind("RSS", _bytes("a.xml", _RSS.format(items=_each(_RSS_ITEM))), ROWS),
    Kind("Atom", _bytes("a.atom", _ATOM.format(items=_each(_ATOM_ITEM))), ROWS),
    Kind("WordPress export", _bytes("a.xml", _WORDPRESS.format(items=_each(_WORDPRESS_ITEM))), ROWS),
    Kind(
        "XML with a tag for each record",
        _bytes("a.xml", f"<?xml version='1.0'?><articles>{_each(_XML_ITEM)}</articles>"),
        ROWS,
    ),
    Kind(
        "subfolders by day",
        _files({"2026/11/a.jsonl": _lines(ROWS[:2]), "2026/12/b.jsonl": _lines(ROWS[2:])}),
        ROWS,
    ),
    Kind(
        "Hugging Face rows API",
        _bytes("a.json", json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]})),
        ROWS,
    ),
    Kind(
        "a nested list of results (Guardian API)",
        _bytes(
            "a.json",
            json.dumps(
                {
                    "response": {
                        "status": "ok",
                        "results": [
                            {"id": r["id"], "webTitle": r["title"], "fields": {"bodyText": r["content"]}}
                            for r in ROWS
                        ],
                    }
                }
            ),
        ),
        ROWS,
    ),
    Kind(
        "JSON Feed",
        _bytes(
            "a.json",
            json.dumps(
                {
                    "version": "https://jsonfeed.org/version/1.1",
                    "title": "News",
                    "items": _renamed(ROWS, content="content_text"),
                }
            ),
        ),
        ROWS,
    ),
    Kind(
        "MediaWiki export",
        _bytes(
            "a.xml",
            '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/"><siteinfo><sitename>W</sitename></siteinfo>'
            + _each(
                "<page><title>{title}</title><ns>0</ns><id>{id}</id><revision><id>7{id}</id><text bytes='9' "
                "xml:space='preserve'>{content}</text></revision></page>"
            )
            + "<page><title>Old</title><ns>0</ns><id>8</id><redirect title='New'/><revision><id>9</id><text>#REDIRECT "
            "[[New]]</text></revision></page><page><title>Talk:Old</title><ns>1</ns><id>10</id><revision><id>11</id>"
            "<text>Hm.</text></revision></page></mediawiki>",
        ),
        ROWS,
    ),
    Kind(
        "a zip of data, a licence and what macOS adds",
        _bytes("a.zip", _zip({"a.jsonl": _lines(ROWS), "LICENSE.txt": "Yours.", "__MACOSX/._a.jsonl": "x"})),
        ROWS,
    ),
    Kind(
        "a folder with what macOS, Windows and Excel leave",
        _files(
            {
                "a.jsonl": _lines(ROWS),
                "._a.jsonl": b"\x00\x05",
                ".DS_Store": b"\x00",
                "Thumbs.db": b"x",
                "~$a.xlsx": b"x",
            }
        ),
        ROWS,
    ),
    Kind(
        "JSON lines in .gz, several parts joined",
        _bytes(
            "a.jsonl.gz", gzip.compress(_lines(ROWS[:1]).encode()) + gzip.compress(_lines(ROWS[1:]).encode())
        ),
        ROWS,
    ),
    Kind(
        "JSON lines, files with a byte order mark joined",
        _bytes("a.jsonl", "".join("\ufeff" + _lines([row]) for row in ROWS)),
        ROWS,
    ),
    Kind(
        "mongoexport --jsonArray",
        _bytes(
            "a.json",
            json.dumps(
                [{"_id": {"$oid": r["id"]}, "title": r["title"], "content": r["content"]} for r in ROWS]
            ),
        ),
        ROWS,
    ),
    Kind(
        "TSV by pandas with carriage returns in its cells",
        _pandas(
            "a.tsv", "to_csv", [{"id": "r1", "title": "a\rb", "content": "one\rtwo"}], index=False, sep="\t"
        ),
        [{"id": "r1", "title": "a\rb", "content": "one\rtwo"}],
    ),
    Kind(
        "Ghost export (a list in a list)",
        _json_file(
            {
                "db": [
                    {
                        "meta": {"version": "5.2"},
                        "data": {
                            "posts": _renamed(ROWS, content="plaintext"),
                            "tags": [{"id": "t1", "name": "News", "description": "All the news."}],
                            "users": [{"id": "u1", "name": "Ann", "bio": "Writes."}],
                        },
                    }
                ]
            }
        ),
        ROWS,
    ),
    Kind(
        "JSON:API (Drupal, Strapi 4)",
        _json_file(
            {
                "jsonapi": {"version": "1.0"},
                "data": [
                    {
                        "type": "node--article",
                        "id": r["id"],
                        "attributes": {
                            "title": r["title"],
                            "body": {"value": r["content"], "format": "plain_text"},
                        },
                    }
                    for r in ROWS
                ],
                "included": [{"type": "tag", "id": "9", "attributes": {"description": "About the news."}}],
            }
        ),
        ROWS,
    ),
    Kind(
        "Contentful export (texts by language)",
        _json_file(
            {
                "contentTypes": [{"sys": {"id": "post"}, "name": "Post", "description": "A post"}],
                "entries": [
                    {
                        "sys": {"id": r["id"]},
                        "fields": {"title": {"en-US": r["title"]}, "body": {"en-US": r["content"]}},
                    }
                    for r in ROWS
                ],
            }
        ),
        ROWS,
    ),
    Kind(
        "rich text as blocks (Sanity, Strapi 5, Contentful, TipTap)",
        _bytes(
            "a.ndjson",
            _lines(
                [
                    {
                        "_id": r["id"],
                        "title": r["title"],
                        "body": [
                            {"_type": "block", "children": [{"_type": "span", "text": r["content"][:5]}]},
                            {"_type": "image", "asset": {"_ref": "image-1"}},
                            {
                                "_type": "block",
                                "children": [{"text": r["content"][5:9]}, {"text": r["content"][9:]}],
                            },
                        ],
                    }
                    for r in ROWS
                ]
            ),
        ),
        [{**r, "content": f"{r['content'][:5]}\n\n{r['content'][5:]}"} for r in ROWS],
    ),
    Kind(
        "pages of an API, one a line (Elasticsearch)",
        _bytes(
            "a.ndjson",
            _lines(
                [
                    {"took": 3, "hits": {"total": 3, "hits": [{"_id": r["id"], "_source": r} for r in page]}}
                    for page in (ROWS[:2], ROWS[2:])
                ]
            ),
        ),
        ROWS,
    ),
    Kind(
        "pages of an API in an array",
        _json_file([{"page": 1, "results": ROWS[:2]}, {"page": 2, "results": ROWS[2:]}]),
        ROWS,
    ),
    Kind(
        "a message beside the list of articles (News API)",
        _json_file({"status": "ok", "message": "Here they are.", "articles": ROWS}),
        ROWS,
    ),
    Kind(
        "values as lists of one (Solr, CrossRef)",
        _json_file(
            {
                "responseHeader": {"status": 0, "params": {"q": "*"}},
                "response": {
                    "numFound": 3,
                    "docs": [{"id": r["id"], "title": [r["title"]], "text": [r["content"]]} for r in ROWS],
                },
                "facet_counts": {"facet_fields": {"lang": ["en", 2]}},
            }
        ),
        ROWS,
    ),
    Kind(
        "articles by key in an object (Firebase)",
        _json_file(
            {
                "posts": {r["id"]: {"title": r["title"], "body": r["content"]} for r in ROWS},
                "users": {"u1": {"name": "Ann"}, "u2": {"name": "Bo"}},
            }
        ),
        ROWS,
    ),
    Kind(
        "one paper a file, its text in sections (CORD-19)",
        _files(
            {
                f"{r['id']}.json": json.dumps(
                    {
                        "paper_id": r["id"],
                        "metadata": {"title": r["title"], "authors": [{"last": "Li"}]},
                        "body_text": [
                            {"text": r["content"][:6], "section": "Start", "cite_spans": []},
                            {"text": r["content"][6:], "section": "End", "cite_spans": [{"text": "(1)"}]},
                        ],
                    }
                )
                for r in ROWS
            }
        ),
        [{**r, "content": f"{r['content'][:6]}\n\n{r['content'][6:]}"} for r in ROWS],
    ),
    Kind(
        "abstracts as inverted indexes (OpenAlex)",
        _json_file(
            {
                "meta": {"count": 1},
                "results": [
                    {"id": "W1", "title": "Rain", "abstract_inverted_index": {"Rain": [0, 2], "follows": [1]}}
                ],
            }
        ),
        [{"id": "W1", "title": "Rain", "content": "Rain follows Rain"}],
    ),
    Kind(
        "PubMed (nested tags, abstracts in parts)",
        _bytes("a.xml", _PUBMED_START + _each(_PUBMED_ITEM, ONE_LINE) + "</PubmedArticleSet>"),
        [{**r, "content": f"AIM: {r['content']}\n\nEND: It ended."} for r in ONE_LINE],
    ),
    Kind(
        "PubMed, one article",
        _bytes("a.xml", _PUBMED_START + _each(_PUBMED_ITEM, ONE_LINE[:1]) + "</PubmedArticleSet>"),
        [{**ONE_LINE[0], "content": f"AIM: {ONE_LINE[0]['content']}\n\nEND: It ended."}],
    ),
    Kind(
        "JATS (PubMed Central), an article a file",
        _files({f"{r['id']}.nxml": _each(_JATS, [r]) for r in ONE_LINE}),
        [{**r, "content": f"Start\n\n{r['content']}\n\nMore in words.\n\nEnd\n\nDone."} for r in ONE_LINE],
    ),
    Kind(
        "NITF",
        _bytes("a.xml", _each(_NITF, ONE_LINE[:1])),
        [{"id": "", "title": ONE_LINE[0]["title"], "content": f"{ONE_LINE[0]['content']}\n\nMore."}],
        own_ids=False,
    ),
    Kind(
        "NewsML-G2",
        _bytes("a.xml", _each(_NEWSML, ONE_LINE[:1])),
        [{**ONE_LINE[0], "content": f"{ONE_LINE[0]['content']}\n\nMore."}],
    ),
    Kind(
        "TEI",
        _bytes("a.xml", _each(_TEI, ONE_LINE[:1])),
        [{**ONE_LINE[0], "content": f"One\n\n{ONE_LINE[0]['content']}\n\nTwo\n\nMore."}],
    ),
    Kind(
        "DocBook, chapters",
        _bytes(
            "a.xml",
            "<book><title>All</title>"
            + _each(
                "<chapter xml:id='{id}'><title>{title}</title><para>{content}</para><para>An <emphasis>end</emphasis>."
                "</para></chapter>",
                ONE_LINE,
            )
            + "</book>",
        ),
        [{**r, "content": f"{r['content']}\n\nAn end."} for r in ONE_LINE],
    ),
    Kind(
        "XML of Solr and mysqldump (names in attributes)",
        _bytes(
            "a.xml",
            "<response><lst name='header'><int name='status'>0</int></lst><result name='response'>"
            + _each(
                "<doc><str name='id'>{id}</str><arr name='title'><str>{title}</str></arr>"
                "<str name='text'>{content}</str></doc>"
            )
            + "</result></response>",
        ),
        ROWS,
    ),
    Kind(
        "XML with markup inside its texts",
        _bytes(
            "a.xml",
            "<docs>"
            + _each(
                "<doc id='{id}'><title><b>{title}</b></title><text><PERSON>Ann</PERSON> said: {content}</text></doc>"
            )
            + "</docs>",
        ),
        [{**r, "content": f"Ann said: {r['content']}"} for r in ROWS],
    ),
    Kind(
        "XML of posts and their comments",
        _bytes(
            "a.xml",
            "<export><comments>"
            + "".join(f"<comment><id>{n}</id><body>Nice.</body></comment>" for n in range(9))
            + "</comments><posts>"
            + _each("<post><id>{id}</id><title>{title}</title><body>{content}</body></post>")
            + "</posts></export>",
        ),
        ROWS,
    ),
    Kind(
        "XML with names of characters (DBLP)",
        _bytes(
            "a.xml",
            '<!DOCTYPE dblp SYSTEM "dblp.dtd"><dblp>'
            + "".join(
                f"<article><id>d{n}</id><title>Caf&eacute;</title><text>No. {n}</text></article>"
                for n in range(2)
            )
            + "</dblp>",
        ),
        [{"id": f"d{n}", "title": "Café", "content": f"No. {n}"} for n in range(2)],
    ),
    Kind(
        "JSON list of texts",
        _json_file([row["content"] for row in ROWS]),
        [{"id": "", "title": "", "content": row["content"]} for row in ROWS],
        own_ids=False,
    ),
    Kind("Blogger export", _bytes("a.xml", _BLOGGER.format(items=_each(_BLOGGER_ITEM, ONE_LINE))), ONE_LINE),
    Kind(
        "Movable Type export (TypePad, Hatena)",
        _bytes(
            "a.txt",
            _each(
                "AUTHOR: Ann\nTITLE: {title}\nBASENAME: {id}\nSTATUS: Publish\n-----\nBODY:\n{content}\n-----\n"
                "COMMENT:\nAUTHOR: Bo\nNice.\n-----\n--------\n"
            )
            + "TITLE: Later\nSTATUS: Draft\n-----\nBODY:\nNot yet.\n-----\n--------\n",
        ),
        ROWS,
    ),
]
"""Kinds that are read without settings."""

WITH_SETTING: list[Kind] = [
    Kind(
        "CSV whose rows end otherwise than its header",
        _bytes("a.csv", "id,title,content\n1,One,first\r\n2,Two,second\r\n"),
        [{"id": "1", "title": "One", "content": "first"}, {"id": "2", "title": "Two", "content": "second"}],
        options={"line_break": "any"},
    ),
    Kind(
        "CSV without a header",
        _bytes("a.csv", _csv(ROWS).split("\n", 1)[1]),
        ROWS,
        options={"columns": ["id", "title", "content"]},
    ),
    Kind(
        "names of one's own",
        _bytes("a.csv", _csv(_renamed(ROWS, id="Nr", title="Betreff", content="Nachricht"))),
        ROWS,
        fields={"id": "Nr", "title": "Betreff", "content": "Nachricht"},
    ),
    Kind(
        "a nested field",
        _bytes(
            "a.json",
            json.dumps(
                [{"id": r["id"], "title": r["title"], "x": {"y": {"words": r["content"]}}} for r in ROWS]
            ),
        ),
        ROWS,
        fields={"content": "x.y.words"},
    ),
    Kind(
        "two lists in a JSON object",
        _bytes("a.json", json.dumps({"articles": ROWS, "old": ROWS})),
        ROWS,
        options={"record_path": "articles"},
    ),
    Kind(
        "a field in a list of objects",
        _bytes(
            "a.jsonl",
            _lines(
                [{**_without_content(r), "parts": [{"said": r["content"]}, {"said": "End."}]} for r in ROWS]
            ),
        ),
        [{**r, "content": f"{r['content']}\n\nEnd."} for r in ROWS],
        fields={"content": "parts.said"},
    ),
    Kind(
        "a list in each object of a list",
        _json_file([{"feed": n, "entries": [{**r, "blurb": r["id"]}]} for n, r in enumerate(ROWS)]),
        ROWS,
        options={"record_path": "entries"},
    ),
    Kind(
        "CSV separated by another character",
        _bytes("a.csv", _csv(ROWS, sep="~")),
        ROWS,
        options={"delimiter": "~"},
    ),
    Kind(
        "CSV in cp1252 with few accents",
        _bytes("a.csv", "id,title,content\n1,Menu,Un café\n".encode("cp1252")),
        [{"id": "1", "title": "Menu", "content": "Un café"}],
        options={"encoding": "cp1252"},
    ),
    Kind(
        "CSV without a last line break",
        _bytes("a.csv", "id,title,content\n1,Rain,It rained"),
        [{"id": "1", "title": "Rain", "content": "It rained"}],
        options={"unfinished_line": True},
    ),
    Kind(
        "TSV whose quotes could merge rows",
        _bytes("a.tsv", 'id\tcontent\n1\t"Rain\n2\tSun"\n'),
        [{"id": "1", "title": "", "content": '"Rain'}, {"id": "2", "title": "", "content": 'Sun"'}],
        options={"quoting": "none"},
    ),
    Kind("a CSV called .txt", _bytes("a.txt", _csv(ROWS)), ROWS, options={"format": "csv"}),
    Kind(
        "XLSX with two sheets that fit",
        _two_sheets,
        ROWS,
        options={"record_path": "new"},
    ),
]
"""Kinds that are refused, or read otherwise, unless a setting says how."""


_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>'
    "<articles><article><id>1</id><body>&b;</body></article></articles>"
)

REFUSED: list[Kind] = [
    Kind(
        "CSV whose rows end otherwise than its header",
        _bytes("a.csv", "id,title,content\n1,One,first\r\n2,Two,second\r\n"),
        words="line_break=",
    ),
    Kind("a zip inside a zip", _bytes("a.zip", _zip_in_zip()), words="unpack it once"),
    Kind("an Avro file", _bytes("a.json", b"Obj\x01\x04\x14avro.codec"), words="Avro"),
    Kind(
        "a server's error in JSON",
        _bytes("a.json", '{"error": {"code": 404, "message": "not found"}}'),
        words="fields=",
    ),
    Kind(
        "a server's error in XML",
        _bytes("a.csv", "<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>"),
        words="record_path=",
    ),
    Kind(
        "MongoDB shell output",
        _bytes("a.json", '{ "_id" : ObjectId("5f"), "content" : "x" }\n'),
        words="not valid JSON",
    ),
    Kind(
        "CSV without a header",
        _bytes("a.csv", "Anna Schmidt,Berlin,She wrote a long letter.\nPeter Maier,Hamburg,He did not.\n"),
        words="columns=",
    ),
    Kind("CSV cut off in its last value", _bytes("a.csv", _csv(ONE_LINE[1:2])[:-3]), words="no line break"),
    Kind(
        "CSV in cp1252 with few accents",
        _bytes("a.csv", "id,title,content\n1,Menu,Un café\n".encode("cp1252")),
        words="encoding=",
    ),
    Kind(
        "TSV whose quotes could merge rows",
        _bytes("a.tsv", 'id\tcontent\n1\t"Rain\n2\tSun"\n'),
        words="quoting=",
    ),
    Kind(
        "two lists in a JSON object",
        _bytes("a.json", json.dumps({"articles": ROWS, "old": ROWS})),
        words="record_path=",
    ),
    Kind("no field with a usual name", _bytes("a.jsonl", '{"id": "1", "blurb": "x"}\n'), words="fields="),
    Kind(
        "XML with two tags that can be the articles",
        _bytes(
            "a.xml",
            f"<x><news>{_each(_XML_ITEM)}</news><old>{_each(_XML_ITEM.replace('article>', 'entry>'))}</old></x>",
        ),
        words="record_path=",
    ),
    Kind("a table called .txt", _bytes("a.txt", _csv(ROWS)), words="format="),
    Kind(
        "CSV with lines above its header",
        _bytes("a.csv", "Report\nMade: today\n\n" + _csv(ROWS)),
        words="remove the lines before it",
    ),
    Kind(
        "JSON lines as Python prints them", _bytes("a.jsonl", "{'id': 1, 'text': 'x'}\n"), words="json.dumps"
    ),
    Kind(
        "a web archive (Common Crawl)", _bytes("a.warc", "WARC/1.0\r\nWARC-Type: x\r\n"), words="web archive"
    ),
    Kind(
        "a sitemap",
        _bytes("a.xml", "<urlset><url><loc>http://a/1</loc></url><url><loc>http://a/2</loc></url></urlset>"),
        words="sitemap",
    ),
    Kind("an HTML error page named .json", _bytes("a.json", _PAGE), words="HTML page"),
    Kind("an HTML error page named .csv", _bytes("a.csv", _PAGE), words="HTML page"),
    Kind(
        "a Git LFS pointer",
        _bytes("a.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        words="git lfs pull",
    ),
    Kind("an mbox of e-mails", _bytes("a.mbox", "From a@b\nSubject: x\n\nHm.\n"), words="e-mails"),
    Kind("a PDF", _bytes("a.pdf", b"%PDF-1.7\n"), words="PDF"),
    Kind("an SQLite database", _sqlite, words="sql("),
    Kind("a Word document", _bytes("a.docx", _zip({"word/document.xml": "<x/>"})), words="Word"),
    Kind("a tar archive", _tar, words="tar archive"),
    Kind(
        "gzip inside gzip",
        _bytes("a.jsonl.gz", gzip.compress(gzip.compress(b"{}\n"))),
        words="unpack it once",
    ),
    Kind(
        "gzip, cut off",
        _bytes("a.jsonl.gz", gzip.compress(_lines(ROWS * 200).encode())[:-40]),
        words="cut off",
    ),
    Kind("a JSON array, cut off", _bytes("a.json", json.dumps(ROWS)[:-30]), words="cut off"),
    Kind("XML that declares entities", _bytes("a.xml", _BOMB), words="entities"),
    Kind(
        "Parquet, cut off", lambda folder: _cut(_pandas("a.parquet", "to_parquet")(folder)), words="cut off"
    ),
    Kind(
        "a folder of files that cannot be read",
        _files({"a.docx": "x", "b.pdf": "%PDF"}),
        words="save it as text or HTML",
    ),
    Kind("an empty folder", _empty, words="is empty"),
]
"""Kinds that are refused, with words from the message."""
