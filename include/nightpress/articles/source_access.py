"""Report why a source cannot be opened at all: no permission, or the store's package is not installed."""

from __future__ import annotations

from nightpress.errors import ConfigurationError
from nightpress.storage import StoragePath

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), ("s3", "s3fs")),
    **dict.fromkeys(("gs", "gcs"), ("gcs", "gcsfs")),
    **dict.fromkeys(("abfs", "abfss", "az", "adl", "wasb", "wasbs"), ("azure", "adlfs")),
    **dict.fromkeys(("http", "https"), ("http", "aiohttp")),
    **dict.fromkeys(("sftp", "ssh"), ("sftp", "paramiko")),
}


def no_permission(path: StoragePath) -> str:
    """Return the message for a file or folder without read permission."""
    return f"{path} may not be read by this user; give it permission to read the file and to list its folder"


def check_scheme(path: StoragePath) -> None:
    """Check that the package for the source's store is installed.

    :raises ConfigurationError: it is not; the message names the package and the extra that contains it.
    """
    problem = ""
    try:
        path.fs  # noqa: B018 - creates the file system, which fails here
    except ImportError:
        problem = "its package is not installed"
    except ValueError as error:
        if "filesystem" not in str(error).lower() and "protocol" not in str(error).lower():
            raise
        problem = "no file system is registered for it"
    if problem:
        scheme = str(path.protocol) or str(path).split(":", 1)[0]
        extra, package = _EXTRAS.get(scheme, ("", ""))
        remedy = (
            f"install the extra {extra!r}: pip install 'nightpress[{extra}]' (it brings {package})"
            if extra
            else "install the fsspec package for it"
        )
        raise ConfigurationError(f"{path} cannot be opened: {problem}; {remedy}")
