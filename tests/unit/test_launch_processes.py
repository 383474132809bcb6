from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.environment import LaunchError
from launch.orphans import session_members
from launch.processes import Component, Interrupted, Processes, hold_lock, interruptible

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
time.sleep(60)
"""
POLITE = "import time; print('ready', flush=True); time.sleep(60)"
PROJECT = Path(__file__).resolve().parents[2]


def component(name: str, code: str) -> Component:
    return Component(name, (sys.executable, "-c", code))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(logs=tmp_path / "logs", cwd=tmp_path)
    yield running
    running.hurry = True
    running.close()


def start(processes: Processes, name: str, code: str, lines: int = 1) -> int:
    pid = processes.start(component(name, code), os.environ)
    deadline = time.monotonic() + 10
    while processes.log_path(name).read_text().count("ready") < lines:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pid


def test_stop_is_quick_when_they_obey_and_kills_them_when_not(processes: Processes) -> None:
    polite = start(processes, "polite", POLITE)
    stubborn = start(processes, "stubborn", STUBBORN, lines=2)
    assert len(processes.pids()) == 3
    begun = time.monotonic()
    processes.stop(["polite"], seconds=60)
    assert time.monotonic() - begun < 30
    processes.stop(seconds=0.3)
    assert session_members([polite, stubborn]) == []
    assert processes.pids() == []


def test_one_that_ends_by_itself_is_told_with_its_code(processes: Processes) -> None:
    processes.start(component("brief", "raise SystemExit(3)"), os.environ)
    deadline = time.monotonic() + 10
    while not processes.exited() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.exited() == {"brief": 3}
    assert not processes.is_running("brief")


def test_a_name_is_taken_once(processes: Processes) -> None:
    start(processes, "one", POLITE)
    with pytest.raises(LaunchError, match="running already"):
        processes.start(component("one", POLITE), os.environ)


def test_the_first_signal_interrupts_and_only_a_late_second_one_hurries(processes: Processes) -> None:
    with interruptible(processes):
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.number == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)
        assert not processes.hurry
        time.sleep(1.1)
        os.kill(os.getpid(), signal.SIGINT)
        assert processes.hurry


def test_the_lock_tells_who_holds_it_and_ends_with_its_holders(tmp_path: Path) -> None:
    with hold_lock(tmp_path, {"command": "up", "url": "http://127.0.0.1:1"}):
        told = rf"nightpress up, process {os.getpid()}, UI at http://127.0.0.1:1"
        with pytest.raises(LaunchError, match=told), hold_lock(tmp_path, {}):
            pass
    with hold_lock(tmp_path, {}):
        pass


def test_when_the_launcher_is_killed_its_components_go_too(tmp_path: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from launch.processes import Component, Processes
running = Processes(logs=Path({str(tmp_path)!r}), cwd=Path({str(tmp_path)!r}))
print(running.start(Component("one", ({sys.executable!r}, "-c", {POLITE!r})), os.environ), flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as launcher:
        assert launcher.stdout is not None
        session = int(launcher.stdout.readline())
        assert session_members([session])
        launcher.kill()
    deadline = time.monotonic() + 10
    while session_members([session]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
