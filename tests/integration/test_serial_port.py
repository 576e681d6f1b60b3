import asyncio
import gc
import os
import socket
import subprocess
import sys
import termios
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pty_port import SerialLine
from waiting import until

from devices.errors import DecodeError, SourceLost, SourceRefused
from devices.serial_port import line as serial_line
from devices.serial_port import source as serial_port
from devices.serial_port.source import Settings, open_source
from gateway.testing import RecordingIntake

TEN_MEGABYTES = 10 * 1024 * 1024
REPLUGS_MAY_LEAVE = 40_000
"""Bytes after two hundred of them. Some 10,000 to 25,000 are Python's cache of attribute names, which is bounded; two
hundred connections that somebody keeps are 80,000 more."""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as made:
        yield made


def source_on(port: object, **more: Any) -> serial_port.SerialPort:
    return open_source("line-1", Settings(str(port), **more))


@asynccontextmanager
async def reading(port: object, **more: Any) -> AsyncIterator[RecordingIntake]:
    """The source at work as the gateway keeps it: run again, after a pause, whenever the port is lost."""
    source = source_on(port, **more)
    intake = RecordingIntake()

    async def work() -> None:
        while True:
            with suppress(SourceLost):
                await source.run(intake)
            await asyncio.sleep(0.005)

    task = asyncio.create_task(work())
    try:
        await until(lambda: intake.connections or task.done(), "the port is open")
        yield intake
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await source.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def failure(port: object, **more: Any) -> Exception:
    """What run() raises."""
    with pytest.raises((SourceLost, SourceRefused)) as caught:
        asyncio.run(asyncio.wait_for(source_on(port, **more).run(RecordingIntake()), 10))
    return caught.value


def test_lines_arrive_whole_and_in_order_however_they_are_chopped_up(line: SerialLine) -> None:
    lines = [b"n=%d text=%s" % (n, b"x" * (n % 90 + 1)) for n in range(500)]
    stream = b"\r\n".join([*lines, b""])

    def chop_and_write() -> None:
        at, step = 0, 1
        while at < len(stream):
            line.write(stream[at : at + step])
            at, step = at + step, step % 97 + 1

    async def scenario() -> None:
        async with reading(line.name) as intake:
            await asyncio.to_thread(chop_and_write)
            await until(lambda: len(intake.lines) >= len(lines), "all lines")
            assert intake.lines == lines
            assert not intake.rejects

    asyncio.run(scenario())


def test_a_line_becomes_readings_of_the_configured_device(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name, device="boiler-7") as intake:
            line.write(b"sensor_value: 42\n")
            await until(lambda: intake.taken, "a reading")
            [taken] = intake.taken
            assert (taken.device, taken.sensor, taken.value) == ("boiler-7", "sensor_value", 42)
            assert taken.source == "line-1"
            assert intake.payloads[0].origin.place == str(line.name)

    asyncio.run(scenario())


def test_a_pause_inside_a_line_makes_no_reading_of_its_half(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name) as intake:
            line.write(b"a=1\nt=99")
            await until(lambda: intake.lines, "the line before the pause")
            await asyncio.sleep(0.2)  # the pause itself
            assert intake.lines == [b"a=1"]
            line.write(b".9\n")
            await until(lambda: len(intake.lines) == 2, "the rest of the line")
            assert intake.lines[1] == b"t=99.9"
            assert not intake.rejects

    asyncio.run(scenario())


def test_what_waits_at_a_port_before_it_is_opened_is_read(line: SerialLine) -> None:
    line.write(b"a=1\nb=2\n")

    async def scenario() -> None:
        async with reading(line.name) as intake:
            await until(lambda: len(intake.lines) == 2, "the waiting lines")
            assert intake.lines == [b"a=1", b"b=2"]

    asyncio.run(scenario())


def test_a_hang_up_in_mid_line_rejects_the_half_and_reading_resumes_at_the_same_name(
    line: SerialLine,
) -> None:
    async def scenario() -> None:
        async with reading(line.name) as intake:
            line.write(b"before=1\nt=99")
            await until(lambda: intake.lines, "the line before")
            line.hang_up()
            await until(lambda: intake.rejects, "the half line")
            line.plug_in()
            line.write(b".9\nafter=2\n")
            await until(lambda: len(intake.lines) == 3, "the lines after")

            assert intake.lines == [b"before=1", b".9", b"after=2"]
            half = intake.rejects[0]
            assert (half.data, half.size) == (b"t=99", 4)
            assert "cut off in mid-frame" in half.reason
            assert intake.connections == 2

    asyncio.run(scenario())


def test_two_hundred_replugs_lose_and_repeat_no_line_and_leave_no_descriptor_and_no_memory(
    line: SerialLine,
) -> None:
    sent: list[bytes] = []

    async def replug(intake: RecordingIntake, times: int) -> None:
        for _ in range(times):
            connections = intake.connections
            lines = [b"n=%d" % (len(sent) + n) for n in range(5)]
            sent.extend(lines)
            line.write(b"\n".join([*lines, b""]))
            await until(lambda: len(intake.taken) == len(sent), "the lines of this plug")
            line.hang_up()
            line.plug_in()
            await until(lambda: intake.connections > connections, "the port is open again")  # noqa: B023 - at once

    async def scenario() -> None:
        async with reading(line.name, startup=["go\n"]) as intake:
            await replug(intake, 20)  # what is made once, such as threads, is there by now
            gc.collect()
            tracemalloc.start()
            files, memory = open_files(), tracemalloc.get_traced_memory()[0]
            await replug(intake, 200)
            assert intake.lines == sent
            assert not intake.rejects
            for kept in (sent, intake.taken, intake.payloads, intake.receipts):
                kept.clear()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - memory
            tracemalloc.stop()
            assert open_files() == files
            assert grown < REPLUGS_MAY_LEAVE, f"{grown} bytes"

    asyncio.run(scenario())


def test_a_new_connection_does_not_believe_the_header_of_the_one_before(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name, decoder={"kind": "csv", "header": "t"}) as intake:
            line.write(b"t,h\n21.5,40\n")
            await until(lambda: len(intake.taken) == 2, "two readings")
            line.hang_up()
            line.plug_in()
            await until(lambda: intake.connections == 2, "the port is open again")
            line.write(b"40,21.5\nh,t\n41,21.6\n")
            await until(lambda: len(intake.taken) == 4, "two more readings")
            assert [(r.sensor, r.value) for r in intake.taken] == [
                ("t", 21.5),
                ("h", 40),
                ("h", 41),
                ("t", 21.6),
            ]
            assert [reject.data for reject in intake.rejects] == [b"40,21.5"]

    asyncio.run(scenario())


def test_a_name_that_leads_to_another_device_is_followed_though_the_old_one_never_hung_up(
    line: SerialLine,
) -> None:
    async def scenario() -> None:
        async with reading(line.name) as intake:
            line.write(b"half a l")
            await until(lambda: intake.connections == 1, "the old device is open")
            line.plug_in()
            line.write(b"new=1\n")
            began = time.monotonic()
            await until(lambda: intake.lines, "a line of the new device")
            assert time.monotonic() - began < 2 * serial_port.LOOK_EVERY
            assert intake.lines == [b"new=1"]
            assert [reject.data for reject in intake.rejects] == [b"half a l"]

    asyncio.run(scenario())


def test_a_port_whose_name_vanished_is_lost_within_two_seconds(line: SerialLine) -> None:
    async def scenario() -> None:
        intake = RecordingIntake()
        source = source_on(line.name)
        run = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the port is open")
        line.name.unlink()
        with pytest.raises(SourceLost, match="its name vanished"):
            await asyncio.wait_for(run, 2 * serial_port.LOOK_EVERY)

    asyncio.run(scenario())


def test_a_ten_megabyte_line_is_one_reject_and_the_next_line_a_reading(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name) as intake:
            await asyncio.to_thread(line.write, b"x" * TEN_MEGABYTES + b"\nt=21.5\n")
            await until(lambda: intake.lines, "the line after", within=60)
            assert intake.lines == [b"t=21.5"]
            [reject] = intake.rejects
            assert reject.size == TEN_MEGABYTES
            assert len(reject.data) <= Settings("/dev/x").max_frame
            assert "65536 bytes" in reject.reason

    asyncio.run(scenario())


def test_a_line_of_wrong_utf_8_reaches_the_intake_whole_and_the_next_one_is_read(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name) as intake:
            line.write(b"t=\xff\xfe\nt=21.5\n")
            await until(lambda: intake.taken, "the good line")
            assert intake.lines == [b"t=\xff\xfe", b"t=21.5"]
            [reject] = intake.rejects
            assert reject.data == b"t=\xff\xfe"
            with pytest.raises(DecodeError):
                reject.origin.decode(reject.data, reject.origin, 0)

    asyncio.run(scenario())


def test_a_cancelled_run_stops_reading_and_keeps_the_port_until_close(line: SerialLine) -> None:
    async def scenario() -> None:
        intake = RecordingIntake()
        source = source_on(line.name)
        await source.close()  # before run() it does nothing
        run = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the port is open")
        line.write(b"a=1\nha")
        await until(lambda: intake.lines, "a line")
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert intake.rejects[0].reason == "cut off in mid-frame: the gateway stopped reading"
        source.safe([None])

        line.write(b"b=2\n")
        with pytest.raises(SourceLost, match="in use"):
            await source_on(line.name).run(intake)
        await source.close()
        await source.close()
        other = source_on(line.name)
        again = asyncio.create_task(other.run(intake))
        await until(lambda: len(intake.lines) == 2, "the line that waited")
        assert intake.lines[1] == b"b=2"
        again.cancel()
        with suppress(asyncio.CancelledError):
            await again
        await other.close()

    asyncio.run(scenario())


def test_a_run_that_is_cancelled_while_it_opens_leaves_nothing_open(line: SerialLine) -> None:
    async def scenario(port: object) -> None:
        for _ in range(20):
            source = source_on(port)
            run = asyncio.create_task(source.run(RecordingIntake()))
            await asyncio.sleep(0)
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
            await source.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        before = open_files()
        asyncio.run(scenario(line.name))
        asyncio.run(scenario(f"socket://127.0.0.1:{server.getsockname()[1]}"))
        gc.collect()  # what was left to the collector is a ResourceWarning, which fails the test
        assert open_files() == before


def test_a_fault_of_the_intake_ends_the_run_and_is_not_swallowed_by_the_loop(line: SerialLine) -> None:
    class Broken(RecordingIntake):
        def payload(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("a bug")

    line.write(b"a=1\n")
    source = source_on(line.name)

    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(source.run(Broken()), 5)
        await source.close()

    asyncio.run(scenario())


def test_a_busy_line_does_not_starve_the_loop(line: SerialLine) -> None:
    """Others must get their turn every few milliseconds while bytes never stop."""

    async def scenario() -> None:
        async with reading(line.name) as intake:
            writing = asyncio.create_task(asyncio.to_thread(line.write, b"t=21.5\n" * 50_000))
            turns, longest = 0, 0.0
            while not writing.done():
                began = time.monotonic()
                await asyncio.sleep(0)
                longest = max(longest, time.monotonic() - began)
                turns += 1
            await until(lambda: len(intake.lines) == 50_000, "all lines")
            assert turns > 50
            assert longest < 0.5

    asyncio.run(scenario())


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, line: SerialLine) -> SerialLine:
    """A line that the source takes for a UART."""
    monkeypatch.setattr(serial_line, "is_uart", lambda _: True)
    return line


def test_a_uart_opened_in_mid_line_makes_no_reading_of_the_tail(wire: SerialLine) -> None:
    wire.write(b"1.5\nt=22.5\n")

    async def scenario() -> None:
        async with reading(wire.name, decoder="scalar", sensor="t") as intake:
            await until(lambda: intake.lines and intake.rejects, "both lines")
            assert intake.lines == [b"t=22.5"]
            assert [(reject.data, reject.reason) for reject in intake.rejects[:1]] == [
                (b"1.5", "joined in mid-frame")
            ]

    asyncio.run(scenario())


def test_a_uart_that_was_quiet_when_it_was_opened_loses_nothing(
    wire: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_port, "SETTLE", 0.0)

    async def scenario() -> None:
        async with reading(wire.name) as intake:
            await asyncio.sleep(0.01)  # the quiet
            wire.write(b"t=21.5\nt=22.5\n")
            await until(lambda: len(intake.lines) == 2, "both lines")
            assert not intake.rejects

    asyncio.run(scenario())


def test_a_missing_port_says_what_to_look_for(tmp_path: Path) -> None:
    error = failure(tmp_path / "usb-none")
    assert isinstance(error, SourceLost)
    assert str(error) == (
        f"no such port {tmp_path}/usb-none: is it plugged in? `gatewayctl devices discover` lists what is there"
    )


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may open everything, so it must not be root who tries."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_port_without_permission_names_the_group_to_join(line: SerialLine) -> None:
    device = Path(line.device)
    device.chmod(0o000)
    with ordinary_user():
        error = failure(device)
    assert isinstance(error, SourceRefused)
    assert str(device) in str(error)
    assert "dialout" in str(error)


def test_a_port_that_another_process_holds_is_refused_and_read_once_it_is_free(line: SerialLine) -> None:
    program = (
        f"import serial, sys; p = serial.Serial({line.device!r}, exclusive=True); print(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        error = failure(line.name)
        assert isinstance(error, SourceLost)
        assert "in use by another program" in str(error)
        assert f"fuser -v {line.name}" in str(error)
        holder.communicate()

    async def scenario() -> None:
        async with reading(line.name) as intake:
            line.write(b"a=1\n")
            await until(lambda: intake.lines, "a line")

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/dev/null", __file__])
def test_what_is_no_serial_port_is_called_so(path: str) -> None:
    assert "is it a serial port, with hardware behind it?" in str(failure(path))


def test_line_settings_that_a_port_does_not_take_are_named(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:  # pseudo-terminals take everything, real drivers do not
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(termios, "tcsetattr", refuse)
    error = failure(line.name, parity="even", bytesize=7, baud=19200)
    assert isinstance(error, SourceRefused)
    assert str(error) == f"{line.name} does not take these line settings: 19200 baud, 7E1"


@pytest.mark.parametrize(("parity", "checked"), [("none", 0), ("even", termios.INPCK)])
def test_parity_is_checked_where_there_is_one(line: SerialLine, parity: str, checked: int) -> None:
    async def scenario() -> None:
        async with reading(line.name, parity=parity):
            assert termios.tcgetattr(line.terminal)[0] & termios.INPCK == checked

    asyncio.run(scenario())


def test_the_port_is_raw_and_runs_at_the_configured_speed(line: SerialLine) -> None:
    async def scenario() -> None:
        async with reading(line.name, baud=115200):
            iflag, oflag, _, lflag, ispeed, ospeed, control = termios.tcgetattr(line.terminal)
            assert ispeed == ospeed == termios.B115200
            assert not iflag & (termios.ICRNL | termios.ISTRIP | termios.IXON)
            assert control[termios.VMIN] == 1  # else a read of nothing would look like a hang-up
            assert not oflag & termios.OPOST
            assert not lflag & (termios.ICANON | termios.ECHO | termios.ISIG)

    asyncio.run(scenario())


def test_a_serial_server_that_hangs_up_and_comes_back_is_read_again() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            port = f"socket://127.0.0.1:{address[1]}"
            async with reading(port) as intake:
                first, _ = await asyncio.to_thread(server.accept)
                first.sendall(b"a=1\nha")
                await until(lambda: intake.lines, "the first line")
                server.close()
                first.close()
                await until(lambda: intake.rejects, "the half line")
                assert intake.rejects[0].data == b"ha"
                with socket.create_server(address) as back:
                    second, _ = await asyncio.to_thread(back.accept)
                    with second:
                        second.sendall(b"b=2\n")
                        await until(lambda: len(intake.lines) == 2, "the line after")
                assert intake.lines == [b"a=1", b"b=2"]

    asyncio.run(scenario())


def test_a_serial_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
    error = failure(port)
    assert isinstance(error, SourceLost)
    assert str(error).startswith(f"{port} does not answer (Connection refused)")


def test_ten_thousand_lines_arrive_once_in_order_and_quickly(
    line: SerialLine, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [b"sensor_value: %d" % n for n in range(10_000)]

    async def scenario() -> None:
        async with reading(line.name) as intake:
            began, cpu = time.perf_counter(), time.thread_time()
            sending = asyncio.create_task(asyncio.to_thread(line.write, b"\n".join([*lines, b""])))
            await until(lambda: len(intake.taken) >= len(lines), "all lines")
            wall, cpu = time.perf_counter() - began, time.thread_time() - cpu
            await sending
            assert intake.lines == lines
            assert [reading.value for reading in intake.taken] == list(range(10_000))
            with capsys.disabled():
                print(
                    f"\nserial: {10_000 / wall:,.0f} lines/s, {cpu * 100:.1f} us CPU per line with decoding"
                )
            assert wall < 5

    asyncio.run(scenario())
