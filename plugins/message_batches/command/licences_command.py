"""``nightpress licences``: the licences of what is installed, from its own metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from email.message import Message
from importlib.metadata import distributions
from typing import Annotated, cast

import typer

from message_batches.command.console import say, say_json
from message_batches.command.options import Json

_UNKNOWN = "unknown"
_COPYLEFT = ("GPL", "General Public", "MPL", "Mozilla Public", "EUPL", "CDDL", "EPL", "Eclipse Public")
_MAX_LICENCE_CHARS = 60
ADVISORIES = (
    "Known advisories are not listed: no database of them is part of an installation, and none is downloaded. "
    "With a network: uvx pip-audit --require-hashes -r requirements.lock"
)


@dataclass(frozen=True, slots=True)
class Licence:
    """What a package says about its own licence.

    :param source: where it says so: ``expression``, ``classifier``, ``field`` or ``none``.
    """

    package: str
    version: str
    licence: str
    source: str

    @property
    def needs_a_look(self) -> bool:
        """True when it is not known, or may ask for more than naming the authors."""
        return self.licence == _UNKNOWN or any(word in self.licence for word in _COPYLEFT)


def licences(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only what is unknown or copyleft; exit code 1 if there is any.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the licences of all installed packages, from their metadata.

    Example: `nightpress licences --check`
    """
    found = [licence for licence in read_licences() if licence.needs_a_look or not check]
    if as_json:
        say_json({"packages": [asdict(licence) for licence in found], "advisories": None, "note": ADVISORIES})
    else:
        _print(found)
    if check and found:
        raise typer.Exit(1)


def _print(found: list[Licence]) -> None:
    width = max((len(licence.package) for licence in found), default=0)
    for licence in found:
        mark = "!" if licence.needs_a_look else " "
        say(f"{mark} {licence.package:<{width}}  {licence.version:<16}  {licence.licence}")
    counts = Counter(licence.licence for licence in found)
    say(f"\n{len(found)} packages: " + ", ".join(f"{count} {name}" for name, count in counts.most_common(8)))
    say(ADVISORIES)


def read_licences() -> list[Licence]:
    """Return the licence of each installed package, by name."""
    found = {}
    for distribution in distributions():
        metadata = cast("Message", distribution.metadata)
        name = str(metadata.get("Name") or "")
        if name:
            licence, source = _find_licence(metadata)
            found[name.lower()] = Licence(name, str(metadata.get("Version")), licence, source)
    return [found[name] for name in sorted(found)]


def _find_licence(metadata: Message) -> tuple[str, str]:
    if expression := metadata.get("License-Expression"):
        return _short(expression), "expression"
    prefix = "License :: "
    classifiers = [text for text in metadata.get_all("Classifier") or [] if text.startswith(prefix)]
    names = [text.rpartition(" :: ")[2] for text in classifiers if text != f"{prefix}OSI Approved"]
    if names:
        return _short(" and ".join(names)), "classifier"
    text = str(metadata.get("License") or "").strip()
    if text and text.upper() != "UNKNOWN":
        return _short(text.splitlines()[0]), "field"
    return _UNKNOWN, "none"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_LICENCE_CHARS else f"{text[: _MAX_LICENCE_CHARS - 1]}…"
