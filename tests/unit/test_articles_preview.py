from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from upath import UPath

from message_batches.command.main import main
from nightpress.articles.article import Article, ReadStats, Rejected
from nightpress.articles.reader import iter_articles
from nightpress.articles.source_preview import preview_source
from nightpress.errors import InputError

SECRET = "XYZZY-SECRET"


def write_lines(path: Path, count: int, text: str = "A text.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps({"id": f"{path.stem}-{n}", "body": text}) + "\n" for n in range(count))
    )
    return path


def test_a_small_source_is_seen_whole(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 3, "x" * 30)
    (tmp_path / "b.csv").write_text("id,body,brand\n1,two words,x\n2,,y\n")
    (tmp_path / "c.docx").write_text("?")
    preview = preview_source(UPath(tmp_path), max_content_chars=20)
    assert preview.whole
    assert (preview.rows, preview.articles, preview.cut, preview.cut_characters) == (5, 4, 3, 30)
    assert preview.rejected == {"missing_content": 1}
    assert "record 2, line 3" in preview.examples["missing_content"]
    assert preview.metadata == ["brand"]
    assert list(preview.report.skipped) == [str(tmp_path / "c.docx")]
    assert preview.report.fields["content"] == "'body'"


@pytest.mark.parametrize(
    ("second", "rejected"),
    [
        ('{"id": "1", "body": "Another text."}\n', {"repeated_id": 1}),
        ('{"id": "1", "body": "A text."}\n', {"duplicate": 1}),
        ('{"story_id": "2", "text": "Another text."}\n', {}),
    ],
)
def test_the_files_of_a_source_are_seen_together_as_a_run_reads_them(
    tmp_path: Path, second: str, rejected: dict[str, int]
) -> None:
    """Else the preview counts articles that the run rejects."""
    (tmp_path / "a.jsonl").write_text('{"id": "1", "body": "A text."}\n')
    (tmp_path / "b.jsonl").write_text(second)
    preview, stats = preview_source(UPath(tmp_path)), ReadStats()
    rows = list(iter_articles(UPath(tmp_path), stats=stats))
    assert preview.rejected == rejected == Counter(row.reason for row in rows if isinstance(row, Rejected))
    assert preview.articles == sum(isinstance(row, Article) for row in rows)
    assert preview.report.warnings == stats.source.warnings


def test_a_large_source_is_sampled_and_says_so(tmp_path: Path) -> None:
    write_lines(tmp_path / "large.jsonl", 50_000)
    preview = preview_source(UPath(tmp_path))
    assert not preview.whole
    assert preview.rows == 2_000
    for number in range(60):
        write_lines(tmp_path / "many" / f"{number:02d}.jsonl", 1)
    preview = preview_source(UPath(tmp_path / "many"))
    assert (len(preview.files), preview.looked_at, preview.whole) == (60, 20, False)
    assert preview.first[0].article_id == "00-0"


def test_the_time_is_up(tmp_path: Path) -> None:
    for number in range(5):
        write_lines(tmp_path / f"{number}.jsonl", 10)
    moments = iter(range(0, 10_000, 2))
    preview = preview_source(UPath(tmp_path), seconds=5, clock=lambda: next(moments))
    assert not preview.whole
    assert 0 < preview.rows < 50


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 2)
    (tmp_path / "b.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    preview = preview_source(UPath(tmp_path))
    assert preview.articles == 2
    assert "git lfs pull" in preview.problem


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing at"):
        preview_source(UPath(tmp_path / "absent"))


def test_the_command_shows_texts_on_the_terminal_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "a.jsonl", 2, SECRET + " \x1b[31m")
    assert main(["look", str(source)]) == 0
    shown = capsys.readouterr().out
    assert SECRET in shown
    assert "\x1b" not in shown
    assert "content  from 'body'" in shown
    assert main(["look", str(source), "--json"]) == 0
    printed = capsys.readouterr().out
    values = json.loads(printed)
    assert SECRET not in printed
    assert (values["articles"], values["kinds"], values["fields"]["id"]) == (2, {"JSON lines": 1}, "'id'")


def test_the_command_takes_names_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_bytes("Nr~Wörter\n1~Un café\n".encode("cp1252"))
    arguments = ["look", str(tmp_path / "a.txt"), "--content", "Wörter", "--id", "Nr", "--encoding", "cp1252"]
    assert main([*arguments, "-o", "format=csv", "-o", "delimiter=~", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["articles"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["absent.csv"], 1, "nothing at"),
        (["a.csv", "-o", "delimitr=;"], 2, "unknown reading options"),
        (["a.csv", "-o", "delimiter"], 2, "NAME=VALUE"),
    ],
)
def test_what_cannot_be_looked_at_is_told(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    assert main(["look", str(tmp_path / arguments[0]), *arguments[1:]]) == code
    assert words in capsys.readouterr().err
