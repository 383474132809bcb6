"""Sets up ``.venv`` with nothing but the standard library; the Makefile calls it before every command.

A second call does nothing: a stamp holds the digest of all that decides what is installed. A set-up that was
interrupted leaves a mark, and the next one begins again rather than trust half an environment.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
UV = "uv==0.13.9"
UV_LOCK = "requirements-uv.lock"
REQUIREMENTS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
"""Exact versions with file hashes: of packages needed to run, and of all packages."""
_UNFINISHED = ".setup-unfinished"
_FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


_ENTRY_POINTS = "[nightpress.commands]\ncheckout = launch.commands:app\n"
_METADATA = "Metadata-Version: 2.4\nName: nightpress-checkout\nVersion: 0\nLicense-Expression: Apache-2.0\n"
_SCRIPT = "import sys\n\nfrom message_batches.command.main import main\n\nsys.exit(main())\n"


class SetupError(Exception):
    """Set-up cannot continue; the message says what to do."""


def digest(kind: str, project: Path = PROJECT) -> str:
    """Return the digest of everything that decides what is installed for this kind."""
    content = hashlib.sha256(
        f"{sys.version_info[:2]} {UV} {project} {_ENTRY_POINTS} {_METADATA} {_SCRIPT}".encode()
    )
    for name in (REQUIREMENTS[kind], LOCKS[kind], UV_LOCK):
        content.update(name.encode() + b"\0" + (project / name).read_bytes())
    return content.hexdigest()


def is_ready(kind: str, venv: Path = VENV, project: Path = PROJECT) -> bool:
    """Return whether the environment has what this kind needs; one for development has everything."""
    if (venv / _UNFINISHED).exists() or not (venv / "bin" / "python").exists():
        return False
    stamps = {name: venv / f".setup-{name}" for name in {kind, "dev"}}
    return any(path.is_file() and path.read_text() == digest(name, project) for name, path in stamps.items())


def prepare(kind: str) -> None:
    """Install in ``.venv`` what this kind needs.

    :raises SetupError: it cannot be made, or a package cannot be installed.
    """
    with _alone():
        if is_ready(kind):
            return
        if not _is_sound():
            _make()
        mark = VENV / _UNFINISHED
        mark.touch()
        _install(kind)
        (VENV / f".setup-{kind}").write_text(digest(kind))
        mark.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_sound() -> bool:
    python = VENV / "bin" / "python"
    if (VENV / _UNFINISHED).exists() or not python.exists():
        return False
    check = "import sys, pip; print(sys.version_info[:2], sys.prefix)"
    try:
        done = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == f"{tuple(sys.version_info[:2])} {VENV}"


def _make() -> None:
    started = time.monotonic()
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: its venv or ensurepip module is missing.\n"
            f"Install it (Debian, Ubuntu: apt install {name}-venv), or name another Python: "
            "make PYTHON=/path/to/python3"
        ) from None
    if VENV.is_symlink():
        raise SetupError(f"{VENV} is a link; remove it, or make it a real directory")
    if VENV.exists():
        shutil.rmtree(VENV)
    log = PROJECT / ".setup.log"
    with log.open("wb") as output:
        failed = _run([sys.executable, "-m", "venv", str(VENV)], output)
    if failed:
        raise SetupError(f"python -m venv failed:\n{log.read_text(errors='replace')[-2000:]}")
    log.unlink()
    print_step(f"made .venv with Python {'.'.join(map(str, sys.version_info[:3]))}", started)


def _install(kind: str) -> None:
    started = time.monotonic()
    wanted = ["--require-hashes", "-r", LOCKS[kind]]
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    log = VENV / "setup.log"
    print(f"installing {LOCKS[kind]} …", flush=True)
    with log.open("wb") as output:
        if not _run([*pip, "install", "--require-hashes", "-r", UV_LOCK], output):
            command = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode"]
            failed = _run(
                [*command, "--python", str(VENV / "bin" / "python"), *wanted],
                output,
                uv_environment(hashed=True),
            )
        else:
            failed = True
        if failed:
            print_step("uv could not install; trying pip, which is slower", started)
            failed = _run([*pip, "install", *wanted], output)
    if failed:
        tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
        raise SetupError(f"the packages could not be installed:\n{tail}\n(all of it: {log})")
    link_project()
    count = len(list((VENV / "lib").glob("python*/site-packages/*.dist-info")))
    print_step(f"installed {count} packages", started)


def link_project(venv: Path = VENV, project: Path = PROJECT) -> None:
    """Put the project into the environment: its packages on the path, and the command ``nightpress``.

    Not an editable install: that would need a build backend before anything is installed, and would register
    the Airflow plugin a second time beside ``plugins/nightpress_plugin.py``. The entry points are those of the
    checkout alone (``run``, ``up``, ``airflow``).
    """
    site = next((venv / "lib").glob("python*/site-packages"))
    folders = (project, project / "include", project / "plugins")
    (site / "nightpress.pth").write_text("".join(f"{folder}\n" for folder in folders))
    metadata = site / "nightpress_checkout-0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(_METADATA)
    (metadata / "INSTALLER").write_text("nightpress\n")
    (metadata / "entry_points.txt").write_text(_ENTRY_POINTS)
    script = venv / "bin" / "nightpress"
    script.write_text(f"#!{venv / 'bin' / 'python'}\n{_SCRIPT}")
    script.chmod(0o755)


def uv_environment(base: Mapping[str, str] | None = None, *, hashed: bool = False) -> dict[str, str]:
    """Pass pip's configuration to uv, which does not read pip's files or variables.

    uv's own settings win, ``UV_INDEX_STRATEGY`` included. By default uv takes a package only from the first
    index that has it, so a package of the same name on another index is never chosen.

    :param hashed: every file is checked against a hash of the lock, so that all indexes may be searched.
    """
    environment = dict(os.environ if base is None else base)
    settings = read_pip_settings()
    for name, variable in _FROM_PIP.items():
        if name in settings:
            values = settings[name].split()
            environment.setdefault(variable, ("," if name == "find-links" else " ").join(values))
    if hashed and "extra-index-url" in settings:
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def read_pip_settings() -> dict[str, str]:
    """Read pip's configuration in force, environment over files."""
    command = [
        sys.executable if not VENV.exists() else str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "config",
        "list",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    settings: dict[str, str] = {}
    for line in sorted(done.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, separator, value = line.partition("=")
        if separator and name.startswith(("global.", "install.", ":env:.")):
            settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings


def write_lock() -> None:
    """Resolve the requirements again into the locks, for every platform and Python from 3.11 on.

    The run lock is a subset of the development lock, with the same versions.

    :raises SetupError: uv is missing or found no solution; the old locks are kept.
    """
    prepare("dev")
    started = time.monotonic()
    _compile(REQUIREMENTS["dev"], LOCKS["dev"])
    _compile(REQUIREMENTS["run"], LOCKS["run"], "--constraints", LOCKS["dev"])
    pinned = PROJECT / ".setup-uv.txt"
    pinned.write_text(f"{UV}\n")
    try:
        _compile(pinned.name, UV_LOCK)
    finally:
        pinned.unlink()
    print_step(f"wrote {', '.join((*LOCKS.values(), UV_LOCK))}", started)


def _compile(requirements: str, lock: str, *options: str) -> None:
    command = [str(VENV / "bin" / "uv"), "pip", "compile", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--quiet", *options, requirements, "-o", lock]
    if _run(command, None, uv_environment()):
        raise SetupError(
            f"uv pip compile {requirements} failed. If the versions are spread over several indexes that are all "
            "yours: UV_INDEX_STRATEGY=unsafe-best-match make lock"
        )


def clean() -> None:
    """Remove the files of set-up, tests and Airflow; keep data and ``.env``.

    :raises SetupError: Nightpress is running here.
    """
    held = PROJECT / ".airflow" / "launch.lock"
    if held.exists():
        with held.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SetupError(
                    "Nightpress is running here: stop it first (Ctrl-C where it was started)"
                ) from None
    names = (
        ".venv",
        ".airflow",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".import_linter_cache",
        ".hypothesis",
    )
    for name in names:
        path = PROJECT / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    print("removed .venv, .airflow and caches; data/ and .env are kept")


def _run(
    command: Sequence[str], output: IO[bytes] | None, environment: Mapping[str, str] | None = None
) -> bool:
    """Run a command and return whether it failed; a damaged or missing program counts as a failure."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=PROJECT,
            env=environment,
            check=False,
        )
    except OSError:
        return True
    return done.returncode != 0


def print_step(text: str, started: float) -> None:
    """Print one step with the seconds it took."""
    print(f"{text} ({time.monotonic() - started:.0f} s)", flush=True)


def main() -> int:
    """Run one action and give its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=[*REQUIREMENTS, "lock", "clean"])
    action = parser.parse_args().action
    try:
        if action in REQUIREMENTS:
            prepare(action)
        else:
            (write_lock if action == "lock" else clean)()
    except SetupError as error:
        print(f"nightpress set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up interrupted; the next make begins it again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
