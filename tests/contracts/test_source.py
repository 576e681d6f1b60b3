"""What devices.source.Source promises, held by every source there is and by the fake that stands in for them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mosquitto import Mosquitto
from pty_port import SerialLine
from waiting import until

from devices.errors import SourceError
from devices.registry import open_source
from devices.source import DecodingSource, Home, Intake, Piece, RawSource, Source
from gateway import capture
from gateway.testing import RecordingIntake, ScriptedSource, connects


class Rig(NamedTuple):
    """A source, what makes the other side say one more thing, and what takes the other side away and back."""

    source: Source
    say: Callable[[], None]
    away: Callable[[], None]
    back: Callable[[], None]


def nothing() -> None:
    """For what cannot be taken away."""


@pytest.fixture
def serial(tmp_path: Path) -> Iterator[Rig]:
    with SerialLine(tmp_path) as line:
        source = open_source("one", {"kind": "serial", "port": str(line.name)})
        yield Rig(source, lambda: line.write(b"t=1\n"), line.hang_up, line.plug_in)


def mqtt(broker: Mosquitto, version: str) -> Rig:
    table = {
        "kind": "mqtt",
        "broker": "127.0.0.1",
        "port": broker.port,
        "topics": ["plant/{device}/{sensor}"],
    }
    source = open_source("one", {**table, "version": version}, Home("pi-7"))
    return Rig(source, lambda: broker.publish("plant/b/t", "1"), broker.stop, broker.start)


@pytest.fixture
def mqtt_5(broker: Mosquitto) -> Rig:
    return mqtt(broker, "5")


@pytest.fixture
def mqtt_3(broker: Mosquitto) -> Rig:
    return mqtt(broker, "3.1.1")


@pytest.fixture
def simulator() -> Rig:
    return Rig(open_source("one", {"kind": "simulator", "interval": 0.01}), nothing, nothing, nothing)


@pytest.fixture
def replay(tmp_path: Path) -> Rig:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n" + "".join(f"{1769860800 + n},{n}\n" for n in range(10_000)))
    table = {"kind": "replay", "file": str(path), "speed": 100, "times": "now", "loop": True}
    return Rig(open_source("one", table), nothing, nothing, nothing)


@pytest.fixture
def scripted() -> Rig:
    source = ScriptedSource(connects, name="one")
    return Rig(source, lambda: source.intake.readings([]) if source.intake else None, nothing, nothing)


@pytest.fixture(params=["scripted", "simulator", "replay", "serial", "mqtt_5", "mqtt_3"])
def rig(request: pytest.FixtureRequest) -> Rig:
    found: Rig = request.getfixturevalue(request.param)
    return found


@contextlib.asynccontextmanager
async def running(source: Source, intake: Intake) -> Any:
    task = asyncio.create_task(source.run(intake))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_it_says_when_it_is_connected_and_hands_over_what_the_other_side_says(rig: Rig) -> None:
    async def scene() -> None:
        intake = RecordingIntake()
        async with running(rig.source, intake):
            await until(lambda: intake.connections == 1, "the connection")
            await asyncio.to_thread(rig.say)
            await until(lambda: intake.receipts, "a payload")
        await rig.source.close()

    asyncio.run(scene())


def test_a_cancelled_run_ends_at_once_and_what_it_took_can_still_be_acknowledged(rig: Rig) -> None:
    async def scene() -> None:
        intake = RecordingIntake()
        async with running(rig.source, intake) as task:
            await until(lambda: intake.connections == 1, "the connection")
            await asyncio.to_thread(rig.say)
            await until(lambda: intake.receipts, "a payload")
            task.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait([task])
            assert task.cancelled()
        taken = len(intake.receipts)
        await asyncio.to_thread(rig.say)
        rig.source.safe([receipt for receipt in intake.receipts if receipt is not None])
        await rig.source.close()
        assert len(intake.receipts) == taken, "nothing is handed over after run()"

    asyncio.run(scene())


def test_it_can_be_closed_before_it_ran_and_twice(rig: Rig) -> None:
    async def scene() -> None:
        await rig.source.close()
        intake = RecordingIntake()
        async with running(rig.source, intake):
            await until(lambda: intake.connections == 1, "the connection")
        await rig.source.close()
        await rig.source.close()

    asyncio.run(scene())


def test_it_can_run_again_after_it_was_lost_and_old_receipts_are_void(rig: Rig) -> None:
    if rig.away is nothing:
        return  # this one cannot be taken away

    async def scene() -> None:
        intake = RecordingIntake()
        async with running(rig.source, intake) as task:
            await until(lambda: intake.connections == 1, "the connection")
            await asyncio.to_thread(rig.say)
            await until(lambda: intake.receipts, "a payload")
            await asyncio.to_thread(rig.away)
            async with asyncio.timeout(5):
                await asyncio.wait([task])
            assert isinstance(task.exception(), SourceError)
        with pytest.raises(SourceError, match=r".{20}"):
            await rig.source.run(intake)
        await asyncio.to_thread(rig.back)
        old = [receipt for receipt in intake.receipts if receipt is not None]
        async with running(rig.source, intake):
            await until(lambda: intake.connections == 2, "the connection again")
            rig.source.safe(old)
            before = len(intake.receipts)
            await asyncio.to_thread(rig.say)
            await until(lambda: len(intake.receipts) > before, "a payload after that")
        await rig.source.close()

    asyncio.run(scene())


def test_its_counts_are_all_there_from_the_beginning_and_only_ever_grow(rig: Rig) -> None:
    async def scene() -> None:
        before = dict(rig.source.counts)
        assert set(before.values()) <= {0}
        for times in (1, 2):
            intake = RecordingIntake()
            async with running(rig.source, intake):
                await until(lambda: intake.connections == 1, "the connection")  # noqa: B023 - awaited here
                await asyncio.to_thread(rig.say)
                await until(lambda: intake.receipts, "a payload")  # noqa: B023
            after = dict(rig.source.counts)
            assert after.keys() == before.keys()
            assert all(after[name] >= before[name] for name in before)
            assert after.get("connects", times) == times
            before = after
        await rig.source.close()

    asyncio.run(scene())


def test_what_a_tap_heard_makes_the_same_payloads_again(rig: Rig) -> None:
    source = rig.source
    if not isinstance(source, RawSource):
        return  # there are no bytes in it

    def taken(count: int) -> bool:
        return len(intake.receipts) == count

    async def scene() -> list[Piece]:
        lines: list[bytes] = []
        source.tap(lambda piece: lines.append(capture.encode(piece)))
        async with running(source, intake) as task:
            await until(lambda: intake.connections == 1, "the connection")
            for count in (1, 2):
                await asyncio.to_thread(rig.say)
                await until(partial(taken, count), "a payload")
            source.tap(None)
            await asyncio.to_thread(rig.say)
            await until(partial(taken, 3), "one that no tap hears")
            source.tap(lambda piece: lines.append(capture.encode(piece)))
            await asyncio.to_thread(rig.away)
            await asyncio.wait([task])
        await source.close()
        return [piece for piece in map(capture.decode, lines) if piece]

    intake, again = RecordingIntake(), RecordingIntake()
    pieces = asyncio.run(scene())
    for piece in pieces:
        source.replay(piece, again)

    assert [piece.event for piece in pieces] == ["opened", "", "", "opened", "lost"]
    heard = [one._replace(receipt=None) for one in intake.payloads]
    del heard[2]
    assert [(one.data, one.quality, one.origin.place) for one in again.payloads] == [
        (one.data, one.quality, one.origin.place) for one in heard
    ]
    assert again.taken == intake.taken[:2]
    assert again.rejects == intake.rejects == []


def test_a_payload_that_came_before_is_read_as_it_would_be_now(rig: Rig) -> None:
    source = rig.source
    if not isinstance(source, DecodingSource):
        return  # there is no decoder in it

    async def scene() -> None:
        async with running(source, intake):
            await until(lambda: intake.connections == 1, "the connection")
            await asyncio.to_thread(rig.say)
            await until(lambda: intake.payloads, "a payload")
        await source.close()

    intake = RecordingIntake()
    asyncio.run(scene())
    [one, *_] = intake.payloads
    origin = source.origin(one.origin.place, len(one.data), rejected=False)
    assert origin.decode(one.data, origin, 1) == one.origin.decode(one.data, one.origin, 1)
    assert origin.memory == {}
