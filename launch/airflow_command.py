"""``make airflow ARGS="backfill create …"``: Airflow's own command line, beside what ``make up`` started."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from launch.__main__ import PROJECT, read_layout
from launch.environment import LaunchError, find_api, read_dotenv
from launch.instance import Instance
from message_batches.command import connection


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in the instance's environment and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = connection.read_settings()
        layout = read_layout(settings)
        if not layout.database.is_file():
            raise LaunchError(f"there is no Airflow in {layout.home} yet: start one with `make up`")
        own = read_dotenv(PROJECT / ".env")
        instance = Instance(layout, api=find_api(settings), own=own)
        if not words:
            words = shlex.split(os.environ.get("NIGHTPRESS_ARGS", "")) or ["--help"]
        command = [sys.executable, "-m", "airflow", *words]
        return subprocess.run(command, env=instance.environment(), cwd=layout.project, check=False).returncode
    except LaunchError as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
