"""Write docs/reference.md from the code: arguments of operators, sensor, pipeline and comparison, and the command.

``make reference`` writes it; a test compares it with the code.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

import message_batches

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference.md"

FUNCTIONS = ("message_batch_pipeline", "message_batch_comparison", "published", "send_requests")
CLASSES = (
    "ReadArticlesOperator",
    "ApprovePlanOperator",
    "SubmitBatchOperator",
    "MessageBatchSensor",
    "WriteResultsOperator",
    "CollectFailuresOperator",
    "PublishResultsOperator",
    "WriteComparisonOperator",
    "WriteReportOperator",
)

_HEAD = """# Reference

Written from the code by `make reference`; a test compares them. Everything here is imported from `message_batches`.
"""


def write_reference() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for name in FUNCTIONS:
        parts.append(
            _section(name, getattr(message_batches, name), inspect.getdoc(getattr(message_batches, name)))
        )
    for name in CLASSES:
        found = getattr(message_batches, name)
        parts.append(_section(name, found.__init__, inspect.getdoc(found)))
    parts.append(_form_keys())
    parts.append(_commands())
    return "\n".join(parts)


def _section(name: str, signature_of: Callable[..., object], doc: str | None) -> str:
    text, parameters = _split(doc or "")
    defaults = {
        parameter.name: "required"
        if parameter.default is parameter.empty
        else f"`{_shown(parameter.default)}`"
        for parameter in inspect.signature(inspect.unwrap(signature_of)).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name != "self"
    }
    lines = [f"\n## `{name}`\n", text, "", "| argument | default | meaning |", "|---|---|---|"]
    for argument in dict.fromkeys([*defaults, *parameters]):
        meaning = parameters.get(argument, "").replace("|", "\\|")
        lines.append(f"| `{argument}` | {defaults.get(argument, 'optional')} | {meaning} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    """Return a default as it is written in code; for a value without a short form, its type."""
    shown = repr(value)
    return shown if "0x" not in shown and len(shown) <= 60 else type(value).__name__


def _split(doc: str) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring before its fields, and each ``:param name:`` on one line."""
    before, *fields = re.split(r"^\s*:(?=\w+)", doc, flags=re.MULTILINE)
    parameters = {}
    for entry in fields:
        match = re.match(r"param (\w+):\s*(.*)", entry, flags=re.DOTALL)
        if match:
            parameters[match[1]] = " ".join(_plain(match[2]).split())
    return _plain(before).strip(), parameters


def _plain(text: str) -> str:
    """Return reStructuredText as Markdown: roles and double backquotes become code."""
    text = re.sub(r":\w+:`~?\.?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _form_keys() -> str:
    """Return every field of the trigger form, which is every key of a run's ``conf``."""
    from airflow.sdk import DAG

    with DAG("pipeline", schedule=None) as dag:
        message_batches.message_batch_pipeline("pipeline", prompt="{content}")
    lines = [
        "\n## The form, and the keys of `--conf`\n",
        "Every field of a pipeline's trigger form, under the name that `airflow dags trigger --conf`, a backfill's "
        "`--dag-run-conf`, the REST API's `conf` and `nightpress run --NAME=…` take. A key that is none of them is "
        "refused by the first task, with the one that was probably meant; nothing is sent.\n",
        "| key | in the form | type | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for name in dag.params:
        param = dag.params.get_param(name)
        schema = param.schema
        kinds = schema.get("type", "string")
        kind = " or ".join(each for each in ([kinds] if isinstance(kinds, str) else kinds) if each != "null")
        shown = "" if param.value is None else f"`{_shown(param.value)}`"
        where = f"{schema.get('section', 'Run Parameters')}: {schema.get('title', name)}"
        lines.append(
            f"| `{name}` | {where} | {kind} | {shown} | {' '.join((param.description or '').split())} |"
        )
    return "\n".join(lines) + "\n"


def _commands() -> str:
    import typer.main

    from launch.commands import app as checkout
    from message_batches.command.main import build_command

    group = typer.main.get_command(build_command(checkout))
    lines = ["\n## The command\n", "| command | what it does |", "|---|---|"]
    for name, command in sorted(getattr(group, "commands", {}).items()):
        summary = (command.help or "").strip().split("\n\n")[0]
        lines.append(f"| `nightpress {name}` | {' '.join(_plain(summary).split())} |")
    return (
        "\n".join(lines)
        + "\n\nEach explains its options: `nightpress COMMAND --help`. `nightpress --version` prints the "
        "version, and those of Airflow and the SDK.\n"
    )


if __name__ == "__main__":
    TARGET.write_text(write_reference(), encoding="utf-8")
    print(f"wrote {TARGET}", file=sys.stderr)
