import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from waiting import until

from gateway.lifecycle import Watchdog, notify, reload_on_signal, stop_on_signals, watchdog_interval


class Manager:
    """The receiving end of the notify socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        try:
            while True:
                messages.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@gateway-test-{os.getpid()}"
    manager = Manager(address.replace("@", "\0"))
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    yield manager
    manager.socket.close()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_manager_hears_all_fields_in_one_message(manager: Manager) -> None:
    notify(READY="1", STATUS="3 sources, 2 of them silent")

    assert manager.heard() == ["READY=1\nSTATUS=3 sources, 2 of them silent"]


def test_text_in_a_status_cannot_become_another_field(manager: Manager) -> None:
    notify(STATUS="line\nWATCHDOG=trigger")

    assert manager.heard() == ["STATUS=line WATCHDOG=trigger"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens", "vsock:2:1"])
def test_without_a_manager_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify(READY="1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify(READY="1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_everything_is_restored(number: signal.Signals) -> None:
    async def main() -> None:
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
        async with stop_on_signals() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), 5)
        assert {one: signal.getsignal(one) for one in before} == before

    asyncio.run(main())


def test_a_person_may_insist_with_a_second_ctrl_c_but_a_second_sigterm_cuts_no_stop_short() -> None:
    async def main() -> None:
        async with stop_on_signals() as stop:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
                await asyncio.wait_for(stop.wait(), 5)
                await asyncio.sleep(0)
            await until(lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the default")
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL

    asyncio.run(main())


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("30000000", "mine", 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_interval_is_what_systemd_asks_of_this_process(
    usec: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = str(os.getpid()) if pid == "mine" else pid
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", number)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert watchdog_interval() == seconds


def test_the_watchdog_is_fed_while_every_worker_is_in_time(manager: Manager) -> None:
    clock = Clock()
    watchdog = Watchdog(30, clock)
    ingest, forward = watchdog.worker("ingest", 10), watchdog.worker("forward", 60)

    for _ in range(3):
        clock.now += 10
        watchdog.check()
        ingest.done()
        forward.done()

    assert manager.heard() == ["WATCHDOG=1"] * 3


def test_a_late_worker_is_named_once_and_the_watchdog_starves(manager: Manager) -> None:
    clock = Clock()
    watchdog = Watchdog(30, clock)
    watchdog.worker("ingest", 10)
    forward = watchdog.worker("forward", 100)

    with capture_logs() as events:
        for _ in range(3):
            clock.now += 15
            forward.done()
            watchdog.check()

    assert manager.heard() == []
    assert [(event["event"], event["worker"], event["log_level"]) for event in events] == [
        ("worker is late", "ingest", "error")
    ]


def test_a_worker_that_comes_back_feeds_the_watchdog_again(manager: Manager) -> None:
    clock = Clock()
    watchdog = Watchdog(30, clock)
    worker = watchdog.worker("ingest", 10)
    clock.now += 11

    with capture_logs() as events:
        watchdog.check()
        worker.done()
        watchdog.check()

    assert manager.heard() == ["WATCHDOG=1"]
    assert [event["event"] for event in events] == ["worker is late", "worker is back"]


def test_the_watchdog_is_fed_twice_in_an_interval(manager: Manager) -> None:
    interval = 0.2

    async def main() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        watching = asyncio.create_task(Watchdog(interval).run())
        heard = 0
        while heard < 4:
            await asyncio.sleep(0.005)
            heard += len(manager.heard())
        watching.cancel()
        return loop.time() - started

    assert 3 * interval / 2 <= asyncio.run(main()) + 0.01


def test_without_systemd_late_workers_are_named_all_the_same() -> None:
    clock = Clock()
    watchdog = Watchdog(None, clock)
    watchdog.worker("ingest", 10)
    clock.now += 11

    with capture_logs() as events:
        watchdog.check()

    assert [event["worker"] for event in events] == ["ingest"]


def test_a_hang_up_asks_for_a_reload_and_what_it_did_before_is_restored() -> None:
    async def scene() -> None:
        stop = asyncio.Event()
        with reload_on_signal(stop) as wanted:
            os.kill(os.getpid(), signal.SIGHUP)
            await until(wanted.is_set, "the wish")
        assert not stop.is_set()

    before = signal.getsignal(signal.SIGHUP)
    asyncio.run(scene())
    assert signal.getsignal(signal.SIGHUP) is before


AT_A_TERMINAL = """
import asyncio, fcntl, termios
from gateway.lifecycle import reload_on_signal

fcntl.ioctl(0, termios.TIOCSCTTY, 0)

async def run():
    stop = asyncio.Event()
    with reload_on_signal(stop) as wanted:
        print("here", flush=True)
        await wanted.wait()
        print("reload", flush=True)
        await stop.wait()

asyncio.run(run())
"""


def test_a_terminal_that_is_closed_ends_the_program_that_runs_there() -> None:
    here, there = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-Ic", AT_A_TERMINAL], stdin=there, stdout=subprocess.PIPE, start_new_session=True
    ) as program:
        os.close(there)
        assert program.stdout is not None
        assert program.stdout.readline() == b"here\n"
        program.send_signal(signal.SIGHUP)
        assert program.stdout.readline() == b"reload\n"
        os.close(here)
        assert program.wait(10) == 0
