"""Starts and stops the components without leaving processes behind.

Each component leads a session of its own, so a Ctrl-C in the terminal reaches only the launcher, and every
process of a component can be found by its session, even if its parent has died.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from launch import orphans
from launch.environment import LaunchError
from launch.login import close_home

STOP_SECONDS = 15.0


class Interrupted(BaseException):
    """A signal asked the launcher to stop; what is running must be stopped on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True, slots=True)
class Component:
    """One long-lived process.

    :param name: also names its log.
    :param command: program and arguments.
    :param stop_signals: sent to its leader one after the other, 0.3 s apart, for an orderly stop.
    """

    name: str
    command: tuple[str, ...]
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)


class Processes:
    """The running components of one instance.

    :param logs: folder of ``launch-<name>.log``; each start overwrites the file.
    :param cwd: working directory of all components.
    :param lock: the home's lock file. Every component inherits it, so it stays locked until the last one has ended.
    """

    def __init__(self, *, logs: Path, cwd: Path, lock: IO[str] | None = None) -> None:
        self.logs = logs
        self.cwd = cwd
        self.hurry = False
        self.starting = False
        self.pending_signal: int | None = None
        self._running: dict[str, tuple[Component, subprocess.Popen[bytes]]] = {}
        self.lock = lock
        self._watchdog: subprocess.Popen[str] | None = None

    def log_path(self, name: str) -> Path:
        """Path of the file with a component's own output."""
        return self.logs / f"launch-{name}.log"

    def start(self, component: Component, environment: Mapping[str, str]) -> int:
        """Start a component and give its process id, which is also its session id.

        :raises LaunchError: a component of this name is running.
        """
        if component.name in self._running:
            raise LaunchError(f"{component.name} is running already")
        self.logs.mkdir(parents=True, exist_ok=True)
        # A signal between the fork and the record of it would lose the process.
        self.starting = True
        try:
            process = self._spawn(component, environment)
            self._running[component.name] = (component, process)
            self._tell_watchdog("+", process.pid)
        finally:
            self.starting = False
        if self.pending_signal is not None:
            raise Interrupted(self.pending_signal)
        return process.pid

    def _spawn(self, component: Component, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log_path(component.name).open("wb") as log:
            return subprocess.Popen(
                component.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=self.cwd,
                start_new_session=True,
                pass_fds=self._inherited(),
            )

    def _inherited(self) -> list[int]:
        return [self.lock.fileno()] if self.lock else []

    def is_running(self, name: str) -> bool:
        """Return whether the component was started, was not stopped and has not ended by itself."""
        return name in self._running and self._running[name][1].poll() is None

    def pids(self) -> list[int]:
        """List every live process of every component."""
        return orphans.session_members(process.pid for _, process in self._running.values())

    def leaders(self) -> dict[str, int]:
        """Return the process id of each component that was started and not stopped."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    def exited(self) -> dict[str, int]:
        """Name the components that have ended by themselves, with their exit codes."""
        codes = {name: process.poll() for name, (_, process) in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def kill(self, name: str) -> None:
        """SIGKILL a component and all its processes, as if its machine crashed."""
        _, process = self._running.pop(name)
        orphans.end_sessions([process.pid], grace_seconds=0)
        process.wait()
        self._tell_watchdog("-", process.pid)

    def stop(self, names: Sequence[str] | None = None, seconds: float = STOP_SECONDS) -> None:
        """Stop components in parallel in good order, and kill what is left after the grace period.

        :param names: components to stop; None for all.
        :param seconds: grace period for all together; `hurry`, set by a signal handler, ends it at once.
        """
        stopping = [name for name in (self._running if names is None else names) if name in self._running]
        started = time.monotonic()
        sent = dict.fromkeys(stopping, 0)
        while any(self._running[name][1].poll() is None for name in stopping):
            elapsed = time.monotonic() - started
            if self.hurry or elapsed > seconds:
                break
            for name in stopping:
                self._signal_when_due(name, sent, elapsed)
            time.sleep(0.05)
        for name in stopping:
            self.kill(name)

    def _signal_when_due(self, name: str, sent: dict[str, int], elapsed: float) -> None:
        component, process = self._running[name]
        count = sent[name]
        if count < len(component.stop_signals) and elapsed >= 0.3 * count:
            if process.poll() is None:
                process.send_signal(component.stop_signals[count])
            sent[name] = count + 1

    def close(self) -> None:
        """Stop everything, and the watchdog."""
        self.stop()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with suppress(BrokenPipeError):
                self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None

    def _tell_watchdog(self, change: str, session: int) -> None:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-m", "launch.orphans"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
                pass_fds=self._inherited(),
            )
        assert self._watchdog.stdin is not None
        with suppress(BrokenPipeError):
            self._watchdog.stdin.write(f"{change}{session}\n")
            self._watchdog.stdin.flush()


@contextmanager
def hold_lock(home: Path, note: Mapping[str, object]) -> Iterator[IO[str]]:
    """Lock the home for one launcher: two Airflows on one SQLite file corrupt each other's work.

    It is a kernel lock, so it ends when its holders end, however they end.

    :param note: shown by another launcher to describe this one, e.g. process id and address.
    :raises LaunchError: the home is locked; the message has the holder's note.
    """
    close_home(home)
    with (home / "launch.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise LaunchError(_taken(home, file.read())) from None
        file.truncate(0)
        json.dump({"pid": os.getpid(), **note}, file)
        file.flush()
        yield file
        file.truncate(0)


def _taken(home: Path, text: str) -> str:
    try:
        note = json.loads(text)
    except ValueError:
        note = {}
    who = f"nightpress {note.get('command', 'run')}, process {note.get('pid', 'unknown')}"
    where = f", UI at {note['url']}" if note.get("url") else ""
    return (
        f"Nightpress is already running in {home} ({who}{where}). Stop it with Ctrl-C where it was started, "
        "wait for it to end (up to 10 s after a crash), or use another home: NIGHTPRESS_HOME=/path"
    )


@contextmanager
def interruptible(processes: Processes) -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into `Interrupted`; a later one makes stopping immediate.

    A signal within a second of the first is ignored: make forwards signals that the terminal has already sent.
    """
    first: list[float] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if first:
            processes.hurry = processes.hurry or now - first[0] > 1.0
            return
        first.append(now)
        if processes.starting:
            processes.pending_signal = number
            return
        raise Interrupted(number)

    before = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
