"""The process that is killed; a fork server starts it, so that a case does not wait for imports.

``python -m tests.chaos.child`` reads lines of JSON, each a list of :class:`Spec`, starts one process for
each at the same time, and answers with one line when all have ended: how each of them ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

import msgspec
import pandas  # noqa: F401  # pyarrow imports it when it first makes an array
import pyarrow as pa
import pyarrow.parquet

from nightpress.costs.prices import find_prices
from nightpress.errors import NightpressError
from tests.chaos.pipeline_run import PipelineRun, Spec, StoppedError, StuckError
from tests.chaos.steps import Steps

REAL_SECONDS = 240
"""After this a process is killed as stuck. It needs half a second, on a busy machine up to a minute."""


def main() -> None:
    """Serve until standard input ends."""
    find_prices("claude-haiku-4-5")  # read once, not in every process
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for line in sys.stdin:
        specs = msgspec.json.decode(line, type=list[Spec])
        started = [_start(spec) for spec in specs]
        ends = [_describe(os.waitpid(pid, 0)[1]) for pid in started]
        os.write(1, json.dumps(ends).encode() + b"\n")


def _start(spec: Spec) -> int:
    pid = os.fork()
    if pid == 0:
        _run(spec)
    return pid


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return {0: "done", 3: "stopped", 4: "broken", 5: "stuck"}.get(os.WEXITSTATUS(status), "broken")


def _run(spec: Spec) -> NoReturn:
    code = 4
    try:
        signal.alarm(REAL_SECONDS)
        code = _execute(spec)
    finally:
        os._exit(code)


def _execute(spec: Spec) -> int:
    report = os.open(spec.report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str, **more: Any) -> None:
        os.write(report, json.dumps({"what": what, "run": spec.run, **more}).encode() + b"\n")

    steps = Steps(spec.die_at, lambda name: note("killed", at=name))
    time.sleep(spec.delay)
    try:
        run = PipelineRun(spec, steps, note)
        steps.install()
        receipt = run.run()
    except StuckError as error:
        note("stuck", why=str(error))
        return 5
    except (NightpressError, StoppedError) as error:
        note("stopped", kind=type(error).__name__, why=str(error)[:600])
        return 3
    except BaseException as error:
        note("broken", why=f"{type(error).__name__}: {error}"[:600])
        raise
    note("done", receipt=receipt, steps=steps.names)
    return 0


if __name__ == "__main__":
    main()
