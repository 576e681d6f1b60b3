"""What sources count about the quality of their connection, on a real serial line and a real broker."""

import asyncio
from contextlib import suppress
from pathlib import Path

import mosquitto
import pytest
from mosquitto import Mosquitto
from pty_port import SerialLine
from waiting import until

from devices import registry
from devices.errors import SourceLost
from devices.serial_port import line as serial_line
from devices.source import Home, Source
from gateway.testing import RecordingIntake


async def run_twice(source: Source, intake: RecordingIntake) -> None:
    """As the gateway does after a loss."""
    with suppress(SourceLost):
        await source.run(intake)
    await source.run(intake)


def test_a_serial_line_counts_each_damaged_frame_though_they_are_one_dead_letter(tmp_path: Path) -> None:
    async def scenario(line: SerialLine) -> None:
        framing = {"kind": "line", "checksum": "nmea"}
        source = registry.open_source("one", {"kind": "serial", "port": str(line.name), "framing": framing})
        intake = RecordingIntake()
        task = asyncio.create_task(run_twice(source, intake))
        await until(lambda: intake.connections == 1, "the port is open")
        good, bad = b"$t=1*78\r\n", b"$t=1*79\r\n"
        line.write(good + 3 * bad + good + b"$t=")
        await until(lambda: len(intake.lines) == 2, "the good frames")
        line.hang_up()
        line.plug_in()
        await until(lambda: intake.connections == 2, "the port is open again")
        line.write(good)
        await until(lambda: len(intake.lines) == 3, "a frame of the second connection")
        task.cancel()
        await asyncio.wait([task])
        await source.close()

        assert [reject.size for reject in intake.rejects] == [3 * len(bad), 3]
        assert source.counts == {
            "bytes": 6 * len(good) + 3,
            "damaged_bytes": 3 * len(bad) + 3,
            "frames": 3,
            "checksum_errors": 3,
            "malformed": 0,
            "too_long": 0,
            "cut_short": 1,
            "resyncs": 1,
            "connects": 2,
        }

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))


def test_the_tail_of_a_frame_at_the_opening_of_a_uart_is_one_that_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_line, "is_uart", lambda _: True)

    async def scenario(line: SerialLine) -> None:
        source = registry.open_source("one", {"kind": "serial", "port": str(line.name)})
        intake = RecordingIntake()
        line.write(b"=21.5\nt=22.5\n")
        task = asyncio.create_task(source.run(intake))
        await until(lambda: intake.lines and intake.rejects, "both lines")
        task.cancel()
        await asyncio.wait([task])
        await source.close()

        expected = {"bytes": 13, "damaged_bytes": 5, "frames": 1, "cut_short": 1, "connects": 1}
        assert {name: count for name, count in source.counts.items() if count} == expected

    with SerialLine(tmp_path) as line:
        asyncio.run(scenario(line))


def test_a_subscription_counts_what_was_repeated_kept_too_large_or_meant_for_nobody(
    broker: Mosquitto,
) -> None:
    table = {
        "kind": "mqtt",
        "broker": mosquitto.HOST,
        "port": broker.port,
        "topics": ["plant/{device}/{sensor}"],
        "decoder": "scalar",
        "max_payload": 100,
    }
    broker.publish("plant/b/kept", "1", retain=True)

    async def scenario() -> None:
        source = registry.open_source("plant", table, Home("gw"))
        first = RecordingIntake()
        task = asyncio.create_task(source.run(first))
        await until(lambda: first.receipts, "the retained message")
        broker.publish("plant/b/t", "2", "7" * 101)
        broker.publish("plant//t", "3")
        await until(lambda: len(first.receipts) == 4, "four messages")
        task.cancel()
        await asyncio.wait([task])
        source.safe(first.receipts[:1])
        await source.close()
        again = RecordingIntake()
        task = asyncio.create_task(source.run(again))
        await until(lambda: len(again.receipts) == 3 and again.connections, "what was not safe, again")
        task.cancel()
        await asyncio.wait([task])
        await source.close()

        assert source.counts == {
            "messages": 7,
            "redelivered": 3,
            "retained": 1,
            "too_large": 2,
            "unmatched": 2,
            "connects": 2,
        }

    asyncio.run(scenario())
