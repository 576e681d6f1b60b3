import asyncio
from pathlib import Path
from typing import Any

import pytest
from pty_port import SerialLine
from waiting import until

from devices.errors import SourceLost
from devices.serial_port import line as serial_line
from devices.serial_port.source import Settings, open_source
from gateway.testing import RecordingIntake

STX = {"kind": "start-end", "start": "02", "end": "03"}
CHECKED = {"kind": "line", "checksum": "nmea"}


async def reading(line: SerialLine, intake: RecordingIntake, **more: Any) -> "asyncio.Task[None]":
    source = open_source("line-1", Settings(str(line.name), **more))

    async def work() -> None:
        try:
            await source.run(intake)
        except SourceLost:
            pass
        finally:
            await source.close()

    task = asyncio.create_task(work())
    await until(lambda: intake.connections, "the port is open")
    return task


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_frames_of_the_configured_framing_become_readings(tmp_path: Path) -> None:
    async def scenario(line: SerialLine) -> None:
        intake = RecordingIntake()
        task = await reading(line, intake, framing=STX)
        line.write(b"noise\x02t=21.5\x03\x02t=22.5\x03")
        await until(lambda: len(intake.taken) == 2, "two readings")
        await end(task)
        assert [taken.value for taken in intake.taken] == [21.5, 22.5]
        assert [reject.data for reject in intake.rejects] == [b"noise"]

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))


def test_a_frame_behind_a_false_start_is_handed_over_when_the_line_falls_quiet(tmp_path: Path) -> None:
    async def scenario(line: SerialLine) -> None:
        intake = RecordingIntake()
        framing = {"kind": "length-prefix", "start": "aa", "checksum": "sum8", "extra": 3, "gap": 0.05}
        task = await reading(line, intake, framing=framing)
        frame = b"\xaa\x05t=1.5"
        line.write(b"\xaa\xf0" + frame + bytes([sum(frame) & 255]))
        await until(lambda: intake.payloads, "the frame that was held back")
        await end(task)
        assert intake.lines == [frame]
        assert (intake.rejects[0].data, intake.rejects[0].reason) == (b"\xaa\xf0", serial_line.PAUSED)

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))


def test_a_hang_up_in_mid_frame_rejects_the_half_and_hands_over_what_is_whole(tmp_path: Path) -> None:
    async def scenario(line: SerialLine) -> None:
        intake = RecordingIntake()
        task = await reading(line, intake, framing=STX | {"gap": 0.0})
        line.write(b"\x02t=1\x03\x02t=9")
        await until(lambda: intake.taken, "the whole frame")
        line.hang_up()
        await until(lambda: intake.rejects, "the half frame")
        await end(task)
        assert [reject.data for reject in intake.rejects] == [b"\x02t=9"]
        assert "cut off in mid-frame" in intake.rejects[0].reason

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))


def test_a_checked_frame_is_believed_though_the_device_was_talking_when_the_port_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_line, "is_uart", lambda _: True)

    async def scenario(line: SerialLine) -> None:
        line.write(b"$t=1*78\r\n$t=2*00\r\n")
        intake = RecordingIntake()
        task = await reading(line, intake, framing=CHECKED)
        await until(lambda: intake.payloads, "the first line")
        await end(task)
        assert intake.lines == [b"$t=1"]
        assert ["checksum wrong" in reject.reason for reject in intake.rejects][-1]

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))
