"""Options that several subcommands share, and the checks of their values."""

from __future__ import annotations

from typing import Annotated

import typer

from nightpress.errors import ConfigurationError
from nightpress.layout import check_day, check_pipeline_name

DEFAULT_PIPELINE = "article_summaries"


def read_day(text: str) -> str:
    """Return a day given on the command line; an empty text stays empty.

    :raises typer.BadParameter: it is not a date in the form YYYY-MM-DD.
    """
    if not text:
        return ""
    try:
        return check_day(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def read_pipeline(text: str) -> str:
    """Return a pipeline's name given on the command line; an empty text stays empty.

    :raises typer.BadParameter: no pipeline can have that name.
    """
    if not text:
        return ""
    try:
        return check_pipeline_name(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


Root = Annotated[
    str,
    typer.Option(
        "--root",
        metavar="URL",
        help="Data root, a folder or a URL (default: NIGHTPRESS_ROOT; in a checkout data/).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Pipeline = Annotated[
    str,
    typer.Option("--pipeline", metavar="NAME", parser=read_pipeline, help="Name of the pipeline."),
]
Day = Annotated[
    str,
    typer.Option(
        "--day", metavar="YYYY-MM-DD", parser=read_day, help="The published day.", show_default=False
    ),
]
