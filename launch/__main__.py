"""``python -m launch …``: the command ``nightpress`` with the checkout's own ``run``, ``up`` and ``airflow``."""

from __future__ import annotations

import sys

from launch import commands
from message_batches.command.main import main

if __name__ == "__main__":
    sys.exit(main(checkout=commands.app))
