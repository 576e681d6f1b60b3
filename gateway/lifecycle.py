"""How a service lives under systemd: readiness and status, an orderly stop, and a watchdog over its workers."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Final

import structlog

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger()


def notify(**fields: str) -> None:
    """Tell the service manager, such as `notify(READY="1", STATUS="3 sources")`.

    Does nothing where there is no manager ($NOTIFY_SOCKET), and never raises: nobody could act on it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        # An abstract socket, which the kernel names with a leading zero byte.
        address = "\0" + address[1:]
    lines = [f"{name}={' '.join(text.split())}" for name, text in fields.items()]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto("\n".join(lines).encode("utf-8", "replace"), address)


@asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """Yield an event that SIGTERM or SIGINT sets; entered by the main task, in the main thread.

    A second SIGTERM changes nothing: a stop has its own deadlines, and whoever runs us has SIGKILL. A second SIGINT does
    what it does by default, so that a person need not wait. What the signals did before is restored on leaving.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    before = {one: signal.getsignal(one) for one in STOP_SIGNALS}

    def on_signal(number: signal.Signals) -> None:
        if not stop.is_set():
            _log.info("stopping", signal=number.name)
        stop.set()
        if number == signal.SIGINT:
            loop.remove_signal_handler(number)

    for one in STOP_SIGNALS:
        loop.add_signal_handler(one, partial(on_signal, one))
    try:
        yield stop
    finally:
        for one, handler in before.items():
            loop.remove_signal_handler(one)
            signal.signal(one, handler)


@contextmanager
def reload_on_signal(stop: asyncio.Event) -> Iterator[asyncio.Event]:
    """Yield an event that SIGHUP sets; entered by the main task, in the main thread.

    Who runs us at a terminal sends SIGHUP by closing it, too: then there is nobody left, and it sets `stop`.
    """
    loop = asyncio.get_running_loop()
    wanted = asyncio.Event()
    at_a_terminal = _has_terminal()

    def on_signal() -> None:
        if at_a_terminal and not _has_terminal():
            _log.info("stopping", signal="SIGHUP")
            stop.set()
        else:
            wanted.set()

    before = signal.getsignal(signal.SIGHUP)
    loop.add_signal_handler(signal.SIGHUP, on_signal)
    try:
        yield wanted
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, before)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def watchdog_interval() -> float | None:
    """Seconds within which systemd wants to hear from this process; None if it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


class Worker:
    """One thing the watchdog watches. `done()` belongs after every attempt, whether it succeeded or not.

    A failed connection is an attempt, so an outage never restarts the service; only a worker that hangs does.
    """

    def __init__(self, name: str, deadline: float, clock: Callable[[], float]) -> None:
        """Made by Watchdog.worker."""
        self.name = name
        self.deadline = deadline
        self._clock = clock
        self._last = clock()

    def done(self) -> None:
        """An attempt has ended: the time until the next one must end starts now. Cheap; safe from any thread."""
        self._last = self._clock()

    def late(self) -> float:
        """Seconds past the deadline; 0 if it is within."""
        return max(0.0, self._clock() - self._last - self.deadline)


class Watchdog:
    """Feeds systemd's watchdog as long as every worker finishes its attempts in time."""

    def __init__(self, interval: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`interval` in seconds, from `watchdog_interval()`; None watches all the same but feeds nothing."""
        self._interval = interval
        self._clock = clock
        self._workers: list[Worker] = []
        self._late: set[Worker] = set()

    def worker(self, name: str, deadline: float) -> Worker:
        """Watch a worker from now on, whose every attempt must end within `deadline` seconds of the one before."""
        worker = Worker(name, deadline, self._clock)
        self._workers.append(worker)
        return worker

    async def run(self) -> None:
        """Watch for ever; cancelled by its owner."""
        # Twice in an interval, as systemd advises: one late wake-up must not restart the service.
        pause = (self._interval or 10.0) / 2
        while True:
            self.check()
            await asyncio.sleep(pause)

    def check(self) -> None:
        """Look at every worker once: feed systemd if all are in time, else name, once, those that are not."""
        late = {worker for worker in self._workers if worker.late() > 0}
        for worker in late - self._late:
            _log.error("worker is late", worker=worker.name, deadline=worker.deadline, late=worker.late())
        for worker in self._late - late:
            _log.warning("worker is back", worker=worker.name)
        self._late = late
        if self._interval is not None and not late:
            notify(WATCHDOG="1")
