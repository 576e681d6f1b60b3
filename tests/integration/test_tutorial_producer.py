import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pty_port import SerialLine
from waiting import until

from devices.registry import open_source
from devices.source import Home
from gateway.testing import RecordingIntake

SEND_LINES = Path(__file__).parents[2] / "docs" / "tutorial" / "send_lines.py"


@contextmanager
def send_lines(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, SEND_LINES, *arguments], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def test_the_tutorial_makes_a_port_whose_lines_become_readings() -> None:
    async def scenario(port: str) -> None:
        source = open_source("line-1", {"kind": "serial", "port": port}, Home("pi-7"))
        intake = RecordingIntake()
        run = asyncio.create_task(source.run(intake))
        await until(lambda: len(intake.taken) >= 2, "two readings")
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        await source.close()
        assert [(reading.sensor, reading.value) for reading in intake.taken[:2]] == [
            ("sensor_value", 20),
            ("sensor_value", 21),
        ]

    with send_lines() as program:
        assert program.stdout is not None
        said = program.stdout.readline()
        assert said.startswith('port = "')
        asyncio.run(scenario(said.split('"')[1]))


def test_the_tutorial_writes_into_a_port_that_is_named(tmp_path: Path) -> None:
    with SerialLine(tmp_path) as line, send_lines(str(line.name)):
        assert line.read_line() == b"sensor_value: 20\n"
