"""``make compat``: install Airflow's versions beside Nightpress and run what depends on Airflow against each.

Each version gets an environment of its own under ``.airflow/compat``, from the newest provider and library versions
that fit it; the tests are those of DAG files, operators, triggers and private imports. No scheduler is started.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from launch.bootstrap import uv_environment

PROJECT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.3.0", "3.3.1", "3.3.2", "3.4.0b2")
"""From the oldest version that the wheel accepts to the newest that exists."""

TESTS = (
    "tests/unit/test_dags.py",
    "tests/unit/test_adapters_approval.py",
    "tests/unit/test_adapters_form.py",
    "tests/unit/test_adapters_private_imports.py",
    "tests/unit/test_adapters_waiting.py",
)
_TOOLS = ("pytest", "hypothesis", "celery<5.7", "apache-airflow-providers-smtp")


def main(words: Sequence[str] | None = None) -> int:
    """Test some versions, all by default, and print a line for each; 1 when one does not install or fails."""
    parser = argparse.ArgumentParser(prog="make compat", description=__doc__)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"default: {' '.join(VERSIONS)}")
    versions = parser.parse_args(words).versions or VERSIONS
    results = [(version, check_version(version)) for version in versions]
    for version, (ok, what) in results:
        print(f"Airflow {version}: {'ok' if ok else 'FAILED'}: {what}")
    return int(not all(ok for _, (ok, _) in results))


def check_version(version: str) -> tuple[bool, str]:
    """Install a version of Airflow and run the tests against it; return whether they passed, and the details."""
    folder, started = PROJECT / ".airflow" / "compat" / version, time.monotonic()
    python = folder / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    print(f"Airflow {version}: installing into {folder} …", flush=True)
    steps = [
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--prerelease",
            "if-necessary-or-explicit",
            f"apache-airflow=={version}",
            ".",
            *_TOOLS,
        ],
    ]
    # Like pip: search all configured indexes for a version that fits.
    environment = {"UV_INDEX_STRATEGY": "unsafe-best-match", **uv_environment()}
    for step in steps:
        done = _run(step, environment)
        if done.returncode:
            return False, f"does not install: {done.stderr.strip().splitlines()[-1:] or ['?']}"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
    }
    environment["AIRFLOW_HOME"] = str(folder / "home")
    done = _run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", *TESTS], environment
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    (folder / "tests.log").write_text("\n".join(lines))
    return (
        not done.returncode,
        f"{lines[-1] if lines else 'no output'}; {time.monotonic() - started:.0f} s in all",
    )


def _run(command: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
