"""``nightpress look``: what would be read of a source, before anything is planned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from message_batches.command.connection import open_path
from message_batches.command.console import say, say_json
from message_batches.command.options import Json
from nightpress.errors import ConfigurationError
from nightpress.plain_text import for_terminal
from nightpress.settings import DEFAULT_MAX_CONTENT_CHARS

if TYPE_CHECKING:
    from nightpress.articles.source_preview import SourcePreview

_SHOWN_CHARS = 400
_SHOWN_FILES = 12


def look(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE…", help="File, folder or glob; several are read as one."),
    ],
    *,
    content: Annotated[
        str, typer.Option(help="The source's field with the text, e.g. body or _source.body.")
    ] = "",
    title: Annotated[str, typer.Option(help="The source's field with the title.")] = "",
    id_field: Annotated[str, typer.Option("--id", help="The source's field with the id.")] = "",
    encoding: Annotated[
        str, typer.Option(help="Encoding of text files, e.g. cp1252 (default: detected).")
    ] = "",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="NAME=VALUE",
            help="A reading option, see docs/sources.md.",
        ),
    ] = None,
    max_content_chars: Annotated[int, typer.Option(min=1, help="Characters of an article that are sent.")] = (
        DEFAULT_MAX_CONTENT_CHARS
    ),
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to read a sample.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Show what would be read of a source: files, what was detected, fields, rejected rows, the first articles.

    Sends nothing, stores nothing, and answers in seconds on a large source: it then reads a sample, and says so.
    Texts are shown on the terminal only, never with --json.

    Example: `nightpress look exports/2026-11-22/ --content body`
    """
    from nightpress.articles.reading_options import FieldMap, ReadOptions
    from nightpress.articles.source_preview import preview_source

    given = dict(_read_option(text) for text in option or [])
    given |= {"encoding": encoding} if encoding else {}
    preview = preview_source(
        [open_path(place) for place in source],
        fields=FieldMap(id_field or None, content or None, title or None),
        options=ReadOptions.of(given),
        max_content_chars=max_content_chars,
        seconds=seconds,
    )
    if as_json:
        say_json(preview.to_values())
    else:
        _show(preview)
    if preview.problem or not preview.articles:
        raise typer.Exit(1)


def _read_option(text: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``; numbers, yes and no, and lists with commas are understood.

    So is what stands in a message, in Python's spelling: ``columns=['id', 'content']``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"--option {text!r} is not NAME=VALUE, such as delimiter=;")
    name = name.replace("-", "_")
    if name == "fields":
        raise ConfigurationError("name the fields with --content, --title and --id, such as --content body")
    if len(value) > 1 and value[0] in "[('\"" and value[-1] in "])'\"":
        with suppress(ValueError, SyntaxError):
            return name, ast.literal_eval(value)
    if value.isdigit():
        return name, int(value)
    if value.lower() in ("true", "yes", "false", "no"):
        return name, value.lower() in ("true", "yes")
    if name in ("columns", "metadata"):
        return name, [part.strip() for part in value.split(",")]
    return name, value.encode().decode("unicode_escape") if value.startswith("\\") else value


def _show(preview: SourcePreview) -> None:
    size = "" if preview.size_bytes is None else f", {preview.size_bytes:,} bytes"
    say(f"{len(preview.files):,} file(s){size}")
    _show_list(
        f"  {for_terminal(file.path)}" + ("" if file.size_bytes is None else f"  {file.size_bytes:,} bytes")
        for file in preview.files[:_SHOWN_FILES]
    )
    if len(preview.files) > _SHOWN_FILES:
        say(f"  and {len(preview.files) - _SHOWN_FILES:,} more")
    if preview.report.kinds:
        say("\nread as")
        _show_list(
            f"  {count:,} × {for_terminal(kind)}" for kind, count in preview.report.kinds.most_common()
        )
    if preview.report.fields:
        say("\nfields")
        _show_list(
            f"  {ours:<8} from {for_terminal(theirs)}" for ours, theirs in preview.report.fields.items()
        )
        if preview.metadata:
            say(f"  others   {for_terminal(', '.join(preview.metadata), 600)}")
    _show_counts(preview)
    for heading, lines in (
        ("warnings", preview.report.warnings),
        ("not read", [f"{path}: {why}" for path, why in list(preview.report.skipped.items())[:_SHOWN_FILES]]),
        ("cannot be read", [preview.problem] if preview.problem else []),
    ):
        if lines:
            say(f"\n{heading}")
            _show_list(f"  {for_terminal(line)}" for line in lines)
    _show_remedies("\n".join([preview.problem, *preview.report.warnings]))
    _show_articles(preview)


def _show_remedies(said: str) -> None:
    """Say how to give here what messages name as it is written in a DAG file."""
    from nightpress.articles.reading_options import option_names

    named = dict.fromkeys(re.findall(r"\b([a-z_]+)=", said))
    options = [f"-o {name}=…" for name in named if name in option_names()]
    options += ["--content NAME, --title NAME and --id NAME"] if "fields" in named else []
    if options:
        say(f"\nto this command it is said with: {'; '.join(options)}")


def _show_counts(preview: SourcePreview) -> None:
    if preview.problem:
        say("\nrows up to the problem below")
    elif preview.whole:
        say("\nevery row was read")
    else:
        files = f"{preview.looked_at:,} of {len(preview.files):,} file(s)"
        say(f"\na sample was read: rows of {files}; all numbers are of it")
    say(f"  rows      {preview.rows:,}")
    say(f"  articles  {preview.articles:,}")
    for reason, count in preview.rejected.most_common():
        say(f"  rejected  {count:,} {reason}, e.g. {for_terminal(preview.examples[reason])}")
    if preview.cut:
        share = preview.cut_characters / max(preview.characters, 1)
        limit = f"{preview.max_content_chars:,} characters"
        say(f"  cut       {preview.cut:,} at {limit}: {share:.0%} of the text is not sent")


def _show_articles(preview: SourcePreview) -> None:
    for number, article in enumerate(preview.first, start=1):
        say(f"\narticle {number}: {for_terminal(article.article_id, 120)}")
        if article.title:
            say(f"  {for_terminal(article.title, 200)}")
        say(f"  {for_terminal(article.content[: preview.max_content_chars], _SHOWN_CHARS)}")


def _show_list(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
