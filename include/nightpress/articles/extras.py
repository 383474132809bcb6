"""Import packages that only some sources need when they are used, and name the extra if one is missing."""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType

from nightpress.errors import ConfigurationError

_PACKAGES = {
    "python_calamine": ("excel", "python-calamine"),
    "feedparser": ("feeds", "feedparser"),
    "defusedxml.ElementTree": ("xml", "defusedxml"),
    "trafilatura": ("html", "trafilatura"),
    "frontmatter": ("markdown", "python-frontmatter"),
    "deltalake": ("delta", "deltalake"),
    "pyiceberg.table": ("iceberg", "pyiceberg"),
}


def import_extra(module: str, what: str) -> ModuleType:
    """Import a package of an extra.

    :param what: what needs the package, for messages, e.g. the file.
    :raises ConfigurationError: the package is not installed; the message names the extra that contains it.
    """
    found: ModuleType | None = None
    with contextlib.suppress(ImportError):
        found = importlib.import_module(module)
    if found is None:
        extra, package = _PACKAGES[module]
        raise ConfigurationError(
            f"{what} needs the package {package}, which is not installed: pip install 'nightpress[{extra}]'"
        )
    return found
