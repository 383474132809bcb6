"""Ends the components when the launcher is gone without having stopped them, e.g. by SIGKILL.

The launcher holds the other end of this process's standard input: end of file means that the launcher has
ended. Lines say which sessions to end: ``+<id>`` for one that was started, ``-<id>`` for one that has
been stopped. Sessions are the only platform feature needed. If launcher and watchdog are both killed, the components
keep running and keep the lock: the next start fails with a message that says why.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

GRACE_SECONDS = 5.0


def session_members(sessions: Iterable[int]) -> list[int]:
    """List the processes of the sessions, orphans included: a child whose parent died keeps its session."""
    wanted = set(sessions)
    members = []
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) in wanted and pid != os.getpid():
                members.append(pid)
    return [pid for pid in members if _is_alive(pid)]


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to all processes that still exist."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)


def end_sessions(sessions: Iterable[int], grace_seconds: float = GRACE_SECONDS) -> None:
    """SIGTERM to every member, then SIGKILL to those alive after the grace, until none is left.

    Without a grace there is no SIGTERM: to simulate a machine that dies, nothing may shut down in good order.
    """
    wanted = tuple(sessions)
    if grace_seconds > 0:
        signal_all(session_members(wanted), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while (alive := session_members(wanted)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(20):
        if not alive:
            return
        signal_all(alive, signal.SIGKILL)
        time.sleep(0.1)
        alive = session_members(wanted)


def main() -> None:
    """Follow standard input to its end, then end the sessions that are still known."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        change, session = line[0], int(line[1:])
        if change == "+":
            sessions.add(session)
        else:
            sessions.discard(session)
    end_sessions(sessions)


if __name__ == "__main__":
    main()
