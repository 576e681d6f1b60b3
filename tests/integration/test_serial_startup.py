"""What a device is told after every opening of its port."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pty_port import SerialLine
from waiting import until

from devices.errors import SourceLost
from devices.serial_port import startup as serial_startup
from devices.serial_port.source import SerialPort, Settings, open_source
from devices.serial_port.startup import Command
from gateway.testing import RecordingIntake

MORE_THAN_A_LINE_HOLDS = "x" * 100_000


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as made:
        yield made


def source_on(line: SerialLine, *startup: str | Command) -> SerialPort:
    return open_source("line-1", Settings(str(line.name), startup=startup))


async def heard(line: SerialLine) -> bytes:
    return await asyncio.wait_for(asyncio.to_thread(line.read_line), 5)


def test_the_commands_arrive_in_order_after_every_replug_and_answers_are_read(line: SerialLine) -> None:
    async def scenario() -> None:
        source = source_on(line, "rate 10\r\n", Command(hex="aa 55 00"), Command(wait=0.01), "go\n")
        intake = RecordingIntake()
        for plug in range(1, 4):
            run = asyncio.create_task(source.run(intake))
            assert await heard(line) == b"rate 10\r\n"
            assert await heard(line) == b"\xaa\x55\x00go\n"
            line.write(b"ok=%d\n" % plug)
            await until(lambda: len(intake.lines) == plug, "the answer")  # noqa: B023 - called at once
            line.hang_up()
            with pytest.raises(SourceLost):
                await run
            line.plug_in()
        assert intake.lines == [b"ok=1", b"ok=2", b"ok=3"]

    asyncio.run(scenario())


def test_a_pause_is_kept_before_the_bytes_and_the_line_is_read_meanwhile(line: SerialLine) -> None:
    async def scenario() -> None:
        source, intake = source_on(line, Command(wait=0.2, hex="67 6f 0a")), RecordingIntake()
        run = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the port is open")
        began = time.monotonic()
        line.write(b"booting=1\n")
        await until(lambda: intake.lines, "what the device says in the pause")
        assert time.monotonic() - began < 0.15
        assert await heard(line) == b"go\n"
        assert time.monotonic() - began > 0.15
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        await source.close()

    asyncio.run(scenario())


def test_commands_longer_than_the_line_holds_arrive_whole_and_block_nobody(line: SerialLine) -> None:
    async def scenario() -> None:
        source, intake = source_on(line, MORE_THAN_A_LINE_HOLDS, "\n"), RecordingIntake()
        run = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the port is open")
        line.write(b"a=1\n")
        await until(lambda: intake.lines, "a line, while the commands wait for room")
        assert await heard(line) == MORE_THAN_A_LINE_HOLDS.encode() + b"\n"
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        await source.close()

    asyncio.run(scenario())


def test_a_device_that_takes_no_commands_is_lost_with_a_sentence_that_quotes_none(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_startup, "STUCK_AFTER", 0.05)

    async def scenario() -> None:
        with pytest.raises(SourceLost) as caught:
            await asyncio.wait_for(source_on(line, MORE_THAN_A_LINE_HOLDS).run(RecordingIntake()), 5)
        assert str(caught.value).startswith(
            f"{line.name} is lost (it has taken nothing of its start-up commands"
        )
        assert "xx" not in str(caught.value)

    asyncio.run(scenario())


def test_a_run_that_is_cancelled_stops_its_commands(line: SerialLine) -> None:
    async def scenario() -> None:
        source, intake = source_on(line, Command(wait=0.05, hex="67 6f 0a"), "late\n"), RecordingIntake()
        run = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the port is open")
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await source.close()

    asyncio.run(scenario())
