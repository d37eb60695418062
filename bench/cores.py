"""Which core does what, and what a process used of the machine.

The server has one core to itself and everything else shares the other, so that a busy crowd of viewers does
not look like a slow server.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")


def split() -> tuple[int | None, int | None]:
    """The core of the server and that of all others; None twice where there is only one to give."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cores[-1], cores[0]) if len(cores) > 1 else (None, None)


def pin(core: int | None) -> None:
    """This thread, and all threads and processes that it starts from now on."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def on(core: int | None) -> Iterator[None]:
    """What this thread starts meanwhile runs on that core for ever."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def go_first() -> bool:
    """This process, and what it starts from now on, come before all others of the machine, so that how late
    they are is their own doing. False where that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


def used(pid: int) -> float:
    """Seconds of processor time that the threads of a process have used, kernel included."""
    total = 0
    for thread in (PROC / str(pid) / "task").iterdir():
        with suppress(OSError, ValueError):
            total += int((thread / "schedstat").read_text().split()[0])
    # Without it there is `stat`, which counts in hundredths of a second.
    return total / 1e9 if total else _used_in_ticks(pid)


def _used_in_ticks(pid: int) -> float:
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """KiB that are this process's own, shared pages by their share. Of the kernel's memory nothing: each
    socket costs about 4 KiB there, whoever serves it."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/smaps_rollup does not say Pss")


def allow_files() -> int:
    """How many sockets one process may have here, after asking for as many as there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def load() -> str:
    return " ".join(f"{average:.1f}" for average in os.getloadavg())
