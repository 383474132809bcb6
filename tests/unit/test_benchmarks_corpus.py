from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from benchmarks.corpus import write_corpus
from nightpress.articles.article import Article
from nightpress.articles.reader import iter_articles

MODULE = '''
"""Module {{ ds }} {name}: %s"""

class Printer:
    """Class: %s"""

    def run(self):
        """Method: %s"""

    if True:
        def twice(self):
            """First: %s"""
    else:
        def twice(self):
            """Second: %s"""

def short():
    """Too short."""
''' % (("words, and 词语 😀, " * 20,) * 5)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    root = tmp_path / "site-packages"
    (root / "printing").mkdir(parents=True)
    (root / "printing-1.0.dist-info" / "licenses").mkdir(parents=True)
    (root / "printing" / "printer.py").write_text(MODULE, "utf-8")
    (root / "printing" / "broken.py").write_text("def (", "utf-8")
    (root / "printing" / "surrogate.py").write_text('"""\\ud800 ' + "x" * 300 + '"""', "utf-8")
    (root / "printing-1.0.dist-info" / "METADATA").write_text("Name: printing\n\n" + "<b>text</b> " * 50)
    (root / "printing-1.0.dist-info" / "licenses" / "LICENSE").write_text("You may. " * 50)
    (root / "printing" / "latin.txt").write_bytes(b"caf\xe9 " * 100)
    return root


NAMES = ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "a.json.zst", "a.csv.zst"]


@pytest.mark.parametrize("name", NAMES)
def test_each_format_holds_the_same_texts(name: str, packages: Path, tmp_path: Path) -> None:
    assert write_corpus(tmp_path / "first.jsonl", root=packages) == 9
    assert write_corpus(tmp_path / name, root=packages) == 9
    expected = list(iter_articles(UPath(tmp_path / "first.jsonl")))
    read = list(iter_articles(UPath(tmp_path / name)))
    assert all(isinstance(row, Article) for row in read)
    for found, wanted in zip(read, expected, strict=True):
        assert isinstance(found, Article)
        assert isinstance(wanted, Article)
        assert (found.article_id, found.title, found.content) == (
            wanted.article_id,
            wanted.title,
            wanted.content,
        )
        assert list(found.metadata) == ["package", "kind", "chars"]


def test_ids_tell_where_a_text_is_from(packages: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "a.jsonl", root=packages)
    rows = list(iter_articles(UPath(tmp_path / "a.jsonl")))
    assert [row.article_id for row in rows] == [
        "printing/latin.txt",
        "printing/printer.py::module",
        "printing/printer.py::Printer",
        "printing/printer.py::Printer.run",
        "printing/printer.py::Printer.twice",
        "printing/printer.py::Printer.twice~2",
        "printing/surrogate.py::module",
        "printing-1.0.dist-info/METADATA",
        "printing-1.0.dist-info/licenses/LICENSE",
    ]
    kinds = [row.metadata["kind"] for row in rows if isinstance(row, Article)]
    assert kinds == ["document", *["docstring"] * 6, "document", "licence"]


def test_more_articles_than_texts(packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_corpus(tmp_path / "a.jsonl", 25, root=packages) == 25
    rows = list(iter_articles(UPath(tmp_path / "a.jsonl")))
    assert len({row.article_id for row in rows if isinstance(row, Article)}) == 25
    assert len({row.content for row in rows if isinstance(row, Article)}) == 25
    assert "25 articles written" in capsys.readouterr().err


def test_the_same_seed_makes_the_same_corpus(packages: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 5), ("d", 5)):
        write_corpus(tmp_path / f"{name}.jsonl.gz", 12, seed, root=packages)
    a, b, c, d = ((tmp_path / f"{name}.jsonl.gz").read_bytes() for name in "abcd")
    assert a == b
    assert c == d
    assert a != c


def test_what_cannot_be_made(packages: Path, tmp_path: Path) -> None:
    for name in ("a.xml", "a", "a.parquet.gz"):
        with pytest.raises(ValueError, match="must end in"):
            write_corpus(tmp_path / name, root=packages)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no texts"):
        write_corpus(tmp_path / "a.json", 1, root=tmp_path / "empty")


def test_the_packages_of_this_machine(tmp_path: Path) -> None:
    assert write_corpus(tmp_path / "a.jsonl", 300, seed=1) == 300
    assert sum(isinstance(row, Article) for row in iter_articles(UPath(tmp_path / "a.jsonl"))) == 300
