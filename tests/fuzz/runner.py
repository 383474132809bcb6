"""Runs one input after the other, each with a limit on time and memory."""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nightpress.errors import NightpressError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target, make_targets

MAX_SECONDS = 1.0
"""Limit of CPU time for one input."""
MAX_BYTES = 300 * 1024 * 1024
"""Limit of memory for one input, above the process's memory before it."""
_HANG_SECONDS = 10.0


@dataclass(frozen=True)
class Failure:
    """An input that failed.

    :param place: the kind of failure; two failures of one kind count as one bug.
    """

    number: int
    target: str
    place: str
    detail: str

    def to_values(self) -> dict[str, object]:
        """Return the failure as JSON values."""
        return asdict(self)

    def show(self, seed: int, only: str) -> str:
        """Return the failure as text, with the command that repeats it."""
        again = f"python -m tests.fuzz --one {seed}:{self.number}" + (f" --only {only}" if only else "")
        return f"{self.target}: {self.place}: {self.detail[:300]}\n    {again}"


class _HangError(BaseException):
    """An input took far too long."""


def run_inputs(
    seed: int, first: int, count: int, only: str = "", note: Path | None = None
) -> Iterator[Failure]:
    """Yield the inputs that failed.

    :param note: called with the number of each input before it is read, in case a parser crashes.
    """
    targets = _chosen(only)
    for target in targets:  # so that imports do not count for an input
        for name, data in target.corpus:
            with suppress(NightpressError):
                target.run(name, data, random.Random(0))
    for number in range(first, first + count):
        if note is not None:
            note.write_text(str(number))
        target, name, data, draw = _input(targets, seed, number)
        if (failure := _try(target, name, data, draw, number)) is not None:
            yield failure


def run_one(seed: int, number: int, only: str = "") -> None:
    """Read one input; catch only our own errors."""
    target, name, data, draw = _input(_chosen(only), seed, number)
    print(target.name, name, len(data), data[:2000])
    started = time.process_time()
    with suppress(NightpressError):
        target.run(name, data, draw)
    print(f"{time.process_time() - started:.3f} s")


def _chosen(only: str) -> list[Target]:
    return [target for target in make_targets() if only in ("", target.name)]


def _input(targets: list[Target], seed: int, number: int) -> tuple[Target, str, bytes, random.Random]:
    draw = random.Random(f"{seed}:{number}")
    target = targets[number % len(targets)]
    name, data = draw.choice(target.corpus)
    return target, name, mutate(data, [other for _, other in target.corpus], draw), draw


def _try(target: Target, name: str, data: bytes, draw: random.Random, number: int) -> Failure | None:
    before = forget_peak()
    started = time.process_time()
    try:
        with give_up_after(_HANG_SECONDS):
            target.run(name, data, draw)
    except NightpressError:
        pass
    except (Exception, _HangError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        own = [step for step in traceback.extract_tb(error.__traceback__) if "/nightpress/" in step.filename]
        place = own[-1] if own else frame
        return Failure(
            number,
            target.name,
            f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}",
            str(error),
        )
    seconds, grown = time.process_time() - started, peak_bytes() - before
    if seconds > MAX_SECONDS:
        return Failure(
            number, target.name, f"too slow ({Path(name).suffix})", f"{seconds:.1f} s for {len(data):,} bytes"
        )
    if grown > MAX_BYTES:
        return Failure(number, target.name, f"too much memory ({Path(name).suffix})", f"{grown:,} bytes")
    return None


@contextmanager
def give_up_after(seconds: float) -> Iterator[None]:
    """Raise once this much CPU time is used, even within a regular expression."""

    def ring(*_: object) -> None:
        raise _HangError

    earlier = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)


def forget_peak() -> int:
    """Reset the kernel's peak memory of this process; return the current use in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the highest use of memory since :func:`forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    with suppress(OSError):
        for text in Path("/proc/self/status").read_text().splitlines():
            if text.startswith(f"{name}:"):
                return int(text.split()[1]) * 1024
    return 0
