"""Entry point of ``nightpress``: collects the subcommands and turns errors into messages and exit codes.

Exit codes: 0 done; 1 refused or failed, with the reason; 2 the command line or the surroundings are wrong;
128 + n ended by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Annotated

import typer
from typer.core import TyperGroup

from message_batches.command import (
    history_command,
    ledger_command,
    licences_command,
    look_command,
    plan_command,
    prune_command,
    replay_command,
    report_command,
)
from message_batches.command.command_settings import CommandError
from message_batches.command.console import warn
from message_batches.command.version_text import show_version
from nightpress.errors import ConfigurationError, NightpressError

CHECKOUT_COMMANDS = "nightpress.commands"
"""Entry-point group of a checkout's own commands (``run``, ``up``, ``airflow``): each is a typer app."""

_ONLY_IN_A_CHECKOUT = {
    "run": "Publish one day on an Airflow that lives as long as the run.",
    "up": "Start Airflow and its UI, and stay until Ctrl-C.",
    "airflow": "Run Airflow's own commands beside `nightpress up`.",
}
_ORDER = (
    "run",
    "up",
    "look",
    "plan",
    "ledger",
    "report",
    "replay",
    "history",
    "restore",
    "prune",
    "airflow",
    "licences",
)
_STORES = ("aiobotocore", "botocore", "s3fs", "google", "gcsfs", "azure", "adlfs")


class _Group(TyperGroup):
    """Accepts options in capitals and with underscores too: the Makefile passes DAY=… on as --DAY=…"""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.context_settings["token_normalize_func"] = _normalize

    def list_commands(self, ctx: object) -> list[str]:
        """Return the commands in the order in which they are met."""
        names = super().list_commands(ctx)  # type: ignore[arg-type]
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def _normalize(token: str) -> str:
    return token.lower().replace("_", "-")


def build_command(checkout: typer.Typer | None = None) -> typer.Typer:
    """Return the whole command.

    :param checkout: the checkout's own commands (default: those of its entry point, if there is one).
    """
    app = typer.Typer(
        cls=_Group,
        help="Overnight article pipelines on Airflow and Claude's Message Batches API.",
        epilog="Each command explains itself: nightpress COMMAND --help",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    found = [checkout] if checkout else [entry.load() for entry in entry_points(group=CHECKOUT_COMMANDS)]
    for commands in found:
        app.add_typer(commands)
    if not found:
        for name, text in _ONLY_IN_A_CHECKOUT.items():
            app.command(name, help=f"{text} Only in a checkout of the project.", hidden=True)(_refuse)
    app.callback()(_nightpress)
    app.command("plan")(plan_command.plan)
    app.command("look")(look_command.look)
    app.add_typer(ledger_command.app, name="ledger")
    app.command("replay")(replay_command.replay)
    app.command("report")(report_command.report)
    app.command("licences")(licences_command.licences)
    app.command("history")(history_command.history)
    app.command("restore")(history_command.restore)
    app.command("prune")(prune_command.prune)
    return app


def _nightpress(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and those of Airflow and the SDK.",
            callback=show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Options of the command itself."""


def _refuse(context: typer.Context) -> None:
    raise CommandError(
        f"`nightpress {context.info_name}` starts an Airflow of its own and needs a checkout of the project; here "
        "Nightpress is installed beside an Airflow. Trigger the DAG there, in its UI or with `airflow dags trigger`."
    )


def main(arguments: Sequence[str] | None = None, *, checkout: typer.Typer | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        build_command(checkout)(args=None if arguments is None else list(arguments), prog_name="nightpress")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except (CommandError, ConfigurationError) as error:
        warn(f"nightpress: {error}")
        return 2
    except NightpressError as error:
        warn(f"refused: {error}")
        return 1
    except Exception as error:
        if not _is_about_storage(error):
            raise
        warn(f"nightpress: the storage could not be used: {type(error).__name__}: {str(error)[:500]}")
        return 2
    return 0


def _is_about_storage(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.startswith(_STORES)


if __name__ == "__main__":
    sys.exit(main())
