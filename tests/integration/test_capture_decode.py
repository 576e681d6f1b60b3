"""What the live source made of a line, decoding its capture makes again: the same readings and rejects, in order."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from framed import DEVICES
from mosquitto import HOST, Mosquitto
from paho.mqtt.client import MQTTMessage
from pty_port import SerialLine
from waiting import until

from devices import registry
from devices.errors import SourceLost
from devices.mqtt.source import MqttSource
from devices.reading import Quality
from devices.serial_port import line as serial_line
from devices.source import Piece, RawSource
from gateway import capture
from gateway.cli.main import main
from gateway.testing import RecordingIntake

CONTENTS = (b"t=21.5", b"h=40", b"state=open", b"\xff\xfe", b"t=2 h=3", b"# nothing", b"t=1e99999")


class Live:
    """A source that is read as the gateway reads it, and captured into `file`.

    Attributes:
        intake: what came of it.
        heard: bytes that the tap heard.
        lines: the lines of the capture.
    """

    def __init__(self, table: dict[str, Any]) -> None:
        source = registry.open_source("one", table)
        assert isinstance(source, RawSource)
        self.source: RawSource = source
        self.intake = RecordingIntake()
        self.heard = 0
        self.lines = [capture.header("pi-7", "one", table, 1)]

    def tap(self, piece: Piece) -> None:
        self.heard += len(piece.data)
        self.lines.append(capture.encode(piece))

    def run(self, scene: Callable[["Live"], Awaitable[None]]) -> None:
        """Play the scene while the source is read, from its connection on."""
        asyncio.run(self._run(scene))

    async def _run(self, scene: Callable[["Live"], Awaitable[None]]) -> None:
        before = self.intake.connections
        self.source.tap(self.tap)
        task = asyncio.create_task(self._keep_reading())
        try:
            await until(lambda: self.intake.connections > before, "the link")
            await scene(self)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.source.close()

    async def _keep_reading(self) -> None:
        while True:
            with suppress(SourceLost):
                await self.source.run(self.intake)
            await asyncio.sleep(0.005)


class Decoding:
    """Decodes captures with the command, as a person would."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._file = folder / "capture"
        self._capsys = capsys

    def __call__(self, lines: list[bytes], *words: str) -> list[dict[str, Any]]:
        self._file.write_bytes(b"".join(lines))
        self._capsys.readouterr()
        assert main(["decode", "--json", str(self._file), *words]) in {0, 1}
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Decoding:
    return Decoding(tmp_path, capsys)


def results(intake: RecordingIntake) -> list[tuple[Any, ...]]:
    """Readings, then rejects, each in the order of the stream."""
    return [(one.device, one.sensor, one.value, one.unit) for one in intake.taken] + [
        (one.reason, one.size, repr(one.data[:60])[2:-1]) for one in intake.rejects
    ]


def printed(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same of what the command printed."""
    return [(one["device"], one["sensor"], one["value"], one["unit"]) for one in lines if "value" in one] + [
        (one["reject"], one["size"], one["data"]) for one in lines if "reject" in one
    ]


@pytest.mark.parametrize("name", DEVICES)
def test_a_line_with_damage_a_pause_and_a_pulled_plug_is_decoded_as_it_was_read(
    name: str, tmp_path: Path, decode: Decoding
) -> None:
    device = DEVICES[name]
    spec: dict[str, Any] = {"kind": device.spec} if isinstance(device.spec, str) else dict(device.spec)
    pausing = spec["kind"] in {"fixed", "length-prefix"}
    if pausing:
        spec["gap"] = 0.05
    wires = [device.send(device.frame(content)) for content in CONTENTS]

    async def scene(live: Live) -> None:
        async def send(*pieces: bytes) -> None:
            for piece in pieces:
                before = live.heard
                line.write(piece)
                await until(lambda: live.heard == before + len(piece), "each piece by itself")  # noqa: B023 - awaited

        await send(*wires, wires[0][:-1], b"\x00" + wires[1], wires[2][:4])
        if pausing:
            await until(
                lambda: serial_line.PAUSED in {one.reason for one in live.intake.rejects}, "the pause"
            )
        await send(b"".join(wires), wires[2][:4])
        line.hang_up()
        line.plug_in()
        await until(lambda: live.intake.connections == 2, "the port again")
        await send(b"".join(wires), wires[2][:4])

    with SerialLine(tmp_path) as line:
        live = Live({"kind": "serial", "port": str(line.name), "framing": spec, "sensor": "s"})
        live.run(scene)
    found = printed(decode(live.lines))

    assert found == results(live.intake)
    assert len(live.intake.rejects) >= 2
    assert len(live.intake.payloads) >= 3 * len(CONTENTS) - 1


def test_a_frame_that_was_joined_in_its_middle_is_rejected_in_the_capture_too(
    tmp_path: Path, decode: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(live: Live) -> None:
        line.write(b"2=1\nt=")
        await until(lambda: live.heard == 6, "the first piece")
        line.write(b"2\n")
        await until(lambda: live.intake.taken, "a reading")

    monkeypatch.setattr(serial_line, "is_uart", lambda _: True)
    with SerialLine(tmp_path) as line:
        live = Live({"kind": "serial", "port": str(line.name)})
        live.run(scene)

    assert printed(decode(live.lines)) == results(live.intake)
    assert [one.reason for one in live.intake.rejects] == ["joined in mid-frame"]


def test_a_capture_that_begins_in_mid_frame_makes_no_reading_of_the_tail(
    tmp_path: Path, decode: Decoding
) -> None:
    async def scene(live: Live) -> None:
        live.source.tap(None)
        line.write(b"t=1\nt=12")
        await until(lambda: live.intake.taken, "the first line")
        live.source.tap(live.tap)
        line.write(b"34=5\nt=3\n")
        await until(lambda: live.intake.taken[1:], "the line behind")

    with SerialLine(tmp_path) as line:
        live = Live({"kind": "serial", "port": str(line.name)})
        live.run(scene)
    opened = live.lines.index(capture.header("pi-7", "one", {"kind": "serial", "port": str(line.name)}, 1))
    found = decode([live.lines[opened], *live.lines[2:]])

    assert [one["value"] for one in found if "value" in one] == [3]
    assert [one["reject"] for one in found if "reject" in one] == ["joined in mid-frame"]


def test_with_another_framing_silences_count_by_the_recorded_times(decode: Decoding) -> None:
    second = 1_000_000_000
    frame = b"\xaa\x02\x00\x15\xc1"
    lines = [
        capture.header("", "one", {"kind": "serial", "port": "/dev/x"}, second),
        *map(
            capture.encode,
            [
                Piece(second, data=b"\xaa\xf0" + frame),  # a false start holds back the frame behind it
                Piece(2 * second, "quiet"),
                Piece(3 * second, data=b"\xaa\x02"),
                Piece(4 * second, data=b"\x00\x15\xc1"),
            ],
        ),
    ]

    def times(gap: float) -> list[int]:
        framing = f'{{ kind = "length-prefix", start = "aa", checksum = "sum8", extra = 3, gap = {gap} }}'
        decoder = '{ kind = "binary", fields = [{ type = "u16", name = "t", at = 2 }], length = 4 }'
        return [
            one["time"] for one in decode(lines, "--framing", framing, "--decoder", decoder) if "value" in one
        ]

    assert times(1.5) == [round(2.5 * second), 4 * second]
    assert times(0.5) == [round(1.5 * second)], "the second frame was cut in two"
    assert times(3) == [4 * second, 4 * second], "the end of the capture tells"


def test_messages_of_a_capture_go_by_their_topics_as_they_went_live(
    broker: Mosquitto, decode: Decoding
) -> None:
    topics = [
        {"pattern": "raw/#", "decoder": "scalar", "device": "meter", "sensor": "power"},
        "plant/{device}/{sensor}",
    ]
    table = {"kind": "mqtt", "broker": HOST, "port": broker.port, "topics": topics, "max_payload": 40}

    async def scene(live: Live) -> None:
        broker.publish("raw/7", "63 W")
        broker.publish("plant/b7/inlet", '{"t": 21.5}', "{", "x" * 41)
        broker.publish("plant/ /inlet", "1")
        broker.publish("plant/b7/outlet", "3", qos=0)
        await until(lambda: len(live.intake.receipts) == 6, "all messages")

    live = Live(table)
    live.run(scene)
    lines = decode(live.lines)

    assert printed(lines) == results(live.intake)
    assert len(live.intake.taken) == len(live.intake.rejects) == 3
    times = [capture.decode(line) for line in live.lines]
    assert [one["time"] for one in lines if "value" in one] == [
        piece.time for piece in times if piece and piece.data in {b"63 W", b'{"t": 21.5}', b"3"}
    ]
    assert printed(decode(live.lines, "--decoder", "scalar"))[0] == ("meter", "power", 63, "W")


def test_what_the_broker_said_about_a_message_is_in_the_capture(broker: Mosquitto) -> None:
    async def scene(live: Live) -> None:
        await until(lambda: len(live.intake.payloads) == live.intake.connections, "the message")

    broker.publish("plant/b7/t", "1", retain=True)
    live = Live({"kind": "mqtt", "broker": HOST, "port": broker.port, "topics": ["plant/{device}/{sensor}"]})
    live.run(scene)
    live.run(scene)  # it was not acknowledged
    again = RecordingIntake()
    for line in live.lines[1:]:
        piece = capture.decode(line)
        assert piece
        live.source.replay(piece, again)

    assert [one.quality for one in again.payloads] == [one.quality for one in live.intake.payloads]
    assert again.payloads[0].quality == Quality.RETAINED
    assert again.payloads[1].quality == Quality.RETAINED | Quality.REDELIVERED


def test_a_message_whose_topic_is_no_text_is_rejected_as_it_was(broker: Mosquitto) -> None:
    live = Live({"kind": "mqtt", "broker": HOST, "port": broker.port, "topics": ["#"]})
    source, again = live.source, RecordingIntake()
    assert isinstance(source, MqttSource)
    source.tap(live.tap)
    source._take(live.intake, 1, MQTTMessage(topic=b"\xfe"))  # mosquitto passes no such topic on
    piece = capture.decode(live.lines[1])
    assert piece
    source.replay(piece, again)

    assert [one.reason for one in again.rejects] == [one.reason for one in live.intake.rejects]
    assert "no UTF-8" in again.rejects[0].reason
