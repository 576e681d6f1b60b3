import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from waiting import until

from devices.errors import DecodeError, SourceEnded, SourceLost, SourceRefused
from devices.reading import Quality, Reading
from devices.registry import open_source
from devices.source import Intake, Origin
from gateway import feed
from gateway.clock import SECOND, Clock, correct
from gateway.config import Ingest as IngestSettings
from gateway.config import Spool as SpoolSettings
from gateway.ingest import Ingest
from gateway.ledger import Ledger
from gateway.presence import Presence
from gateway.sources import SourceSpec
from gateway.spool import Spool
from gateway.testing import ScriptedSource, connects, fails_with
from gateway.testing_fs import FaultFiles


def decode(payload: bytes, origin: Origin, received: int) -> list[Reading]:
    """A number a comma: enough of a decoder for these tests."""
    if payload == b"#":
        return []
    try:
        numbers = [float(part) for part in payload.split(b",")]
    except ValueError:
        raise DecodeError("not numbers separated by commas") from None
    return [Reading(origin.device, "value", number, received, origin.source, received) for number in numbers]


ORIGIN = Origin("line", "/dev/line", "boiler-7", "", decode)


class Rig:
    """Ingest over scripted sources and a spool in memory."""

    def __init__(
        self,
        *specs: SourceSpec,
        batch_readings: int = 1000,
        batch_age: float = 0.01,
        clock: Clock | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.spool = Spool(SpoolSettings(), self.ledger, FaultFiles())
        self.ingest = Ingest(
            specs,
            self.spool,
            self.ledger,
            IngestSettings(batch_readings, batch_age),
            "pi-7",
            clock=clock or Clock(trusted=True),
        )
        self.beats = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.ingest.run(self._beat))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.ingest.flush()

    def _beat(self) -> None:
        self.beats += 1

    async def values(self) -> list[float | int | str]:
        return [reading.value for batch in await self.spool.read(10**6) for reading in batch.readings]


def hands_over(*payloads: bytes, quality: Quality = Quality.GOOD) -> ScriptedSource:
    def script(intake: Intake) -> None:
        intake.connected()
        for number, payload in enumerate(payloads):
            intake.payload(payload, ORIGIN, receipt=number, quality=quality)

    return ScriptedSource(script, name="line")


def test_payloads_become_readings_in_order_and_the_ledger_balances() -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(b"1,2", b"#", b"3", b"what")))
        with capture_logs() as logs:
            async with rig:
                await until(lambda: rig.spool.depth().letters, "the batch in the spool")

        assert await rig.values() == [1, 2, 3]
        line = rig.ledger.source("line")
        assert (line.received, line.decoded, line.ignored, line.dead_lettered, line.made) == (4, 2, 1, 1, 3)
        assert rig.ledger.snapshot(rig.spool.depth().in_memory, {})["balanced"]
        [letter] = (await rig.spool.read(10))[0].letters
        assert (letter.payload, letter.reason, letter.place) == (
            b"what",
            "not numbers separated by commas",
            "/dev/line",
        )
        [complaint] = [entry for entry in logs if entry["event"] == "dead letter"]
        assert complaint["source"] == "line"
        assert "what" not in str(complaint)

    asyncio.run(scene())


@pytest.mark.parametrize("kind", ["undecoded", "stranger", "rejected"])
def test_the_remedy_of_a_dead_letter_is_that_of_its_reason(kind: str) -> None:
    def rejects(intake: Intake) -> None:
        intake.reject(b"x", ORIGIN, "it is larger than max_payload, 9 bytes", 10)

    source = (
        ScriptedSource(rejects)
        if kind == "rejected"
        else hands_over(b"what" if kind == "undecoded" else b"1")
    )

    async def scene() -> None:
        rig = Rig(SourceSpec(source, devices=["oven-*"]))
        with capture_logs() as logs:
            async with rig:
                await until(lambda: rig.spool.depth().letters, "the letter in the spool")
        [remedy] = [entry["remedy"] for entry in logs if entry["event"] == "dead letter"]
        assert ("decoder" in remedy) is (kind == "undecoded")
        assert ("source's devices" in remedy) is (kind == "stranger")
        assert ("the setting that the reason is about" in remedy) is (kind == "rejected")
        assert "dead-letters topic" in remedy

    asyncio.run(scene())


def test_a_dead_letter_says_what_was_wrong_and_what_was_known_of_it() -> None:
    def says(intake: Intake) -> None:
        intake.payload(b"what", ORIGIN, None, Quality.REDELIVERED)
        intake.payload(b"1", ORIGIN, None, Quality.RETAINED)
        intake.reject(b"1", ORIGIN, "torn", 10)

    async def scene() -> None:
        rig = Rig(SourceSpec(ScriptedSource(says), devices=["oven-*"]))
        async with rig:
            await until(lambda: rig.spool.depth().letters, "the letters in the spool")
        letters = (await rig.spool.read(10))[0].letters
        assert [(one.kind, one.size, one.flags) for one in letters] == [
            ("undecoded", 4, ("redelivered",)),
            ("unknown device", 1, ("retained",)),
            ("damaged", 10, ()),
        ]

    asyncio.run(scene())


def test_receipts_come_back_only_when_kafka_has_what_they_stand_for() -> None:
    async def scene() -> None:
        source = hands_over(b"1", b"#", b"nonsense")
        rig = Rig(SourceSpec(source))
        async with rig:
            await until(lambda: rig.spool.depth().readings, "the batch in the spool")
            assert source.heard == []
            rig.spool.commit((await rig.spool.read(10))[-1].last)
            assert source.heard == [0, 1, 2]

    asyncio.run(scene())


def test_a_batch_closes_at_its_size_without_waiting_for_its_age() -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(*[b"1"] * 25)), batch_readings=10, batch_age=60)
        async with rig:
            await until(lambda: rig.spool.depth().readings == 20, "two full batches")
            assert rig.ingest.in_batch() == {"line": 5}

    asyncio.run(scene())


def test_a_batch_closes_when_half_of_the_senders_window_waits() -> None:
    async def scene() -> None:
        source = hands_over(*[b"1"] * 200)
        source.window = 400
        async with Rig(SourceSpec(source), batch_age=60) as rig:
            await until(lambda: rig.spool.depth().readings, "the batch in the spool")
            assert rig.spool.depth().readings == 200

    asyncio.run(scene())


def test_what_arrived_already_goes_into_the_batch_that_the_window_closes() -> None:
    async def scene() -> None:
        source = hands_over(*[b"1"] * 300)
        source.window = 20
        async with Rig(SourceSpec(source), batch_age=60) as rig:
            await until(lambda: rig.spool.depth().readings, "the batch in the spool")
            assert [len(batch) for batch in await rig.spool.read(1000)] == [300]

    asyncio.run(scene())


def test_a_flag_of_the_source_reaches_every_reading() -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(b"1,2", quality=Quality.REDELIVERED)))
        async with rig:
            await until(lambda: rig.spool.depth().readings, "the batch in the spool")
        assert {r.quality for r in (await rig.spool.read(10))[0].readings} == {Quality.REDELIVERED}

    asyncio.run(scene())


def test_an_unknown_device_is_a_dead_letter_that_names_the_setting() -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(b"1"), devices=["press-*"]))
        async with rig:
            await until(lambda: rig.spool.depth().letters, "the dead letter")
        [letter] = (await rig.spool.read(10))[0].letters
        assert letter.reason == "unknown device: no pattern in sources.line.devices matches it"
        assert await rig.values() == []

    asyncio.run(scene())


def test_a_lost_source_is_connected_again_by_itself_and_its_trouble_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.001)
    lost = fails_with(SourceLost("no such port /dev/line: is it plugged in?"))

    async def scene() -> None:
        source = ScriptedSource(lost, lost, lost, connects, name="line")
        rig = Rig(SourceSpec(source))
        with capture_logs() as logs:
            async with rig:
                await until(lambda: rig.ingest.feeds[0].state == "connected", "the fourth try")
        assert source.runs == 4
        assert [entry["event"] for entry in logs] == ["source lost", "source connected"]
        assert rig.ingest.feeds[0].trouble == ""

    asyncio.run(scene())


def test_a_defect_in_one_source_does_not_stop_the_others() -> None:
    def explodes(_: Intake) -> None:
        raise RuntimeError("a defect")

    async def scene() -> None:
        good = hands_over(b"1")
        rig = Rig(SourceSpec(ScriptedSource(explodes, name="bad")), SourceSpec(good))
        with capture_logs() as logs:
            async with rig:
                await until(lambda: rig.spool.depth().readings, "readings of the good one")
                assert rig.ingest.feeds[0].state == "lost"
        assert "source failed" in [entry["event"] for entry in logs]

    asyncio.run(scene())


def test_a_refused_source_waits_longer_and_says_why() -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(ScriptedSource(fails_with(SourceRefused("wrong password")), name="line")))
        async with rig:
            await until(lambda: rig.ingest.feeds[0].state == "refused", "the refusal")
            assert rig.ingest.feeds[0].trouble == "wrong password"

    asyncio.run(scene())


def test_a_finished_source_is_not_started_again() -> None:
    async def scene() -> None:
        source = ScriptedSource(fails_with(SourceEnded("all said")), name="line")
        rig = Rig(SourceSpec(source))
        async with rig:
            await until(lambda: rig.ingest.feeds[0].state == "ended", "the end")
            await asyncio.sleep(0)
        assert source.runs == 1

    asyncio.run(scene())


def test_the_stand_in_steps_in_while_the_source_is_away_and_back_when_it_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.05)
    reading = Reading("boiler-7", "value", 1.0, 1, "line", 1, "", Quality.SIMULATED)

    def simulates(intake: Intake) -> None:
        intake.connected()
        intake.readings([reading])

    async def scene() -> None:
        lost = fails_with(SourceLost("unplugged"))
        rig = Rig(
            SourceSpec(
                ScriptedSource(lost, connects, name="line"), ScriptedSource(simulates, name="line"), 0.0
            )
        )
        one = rig.ingest.feeds[0]
        with capture_logs() as logs:
            async with rig:
                await until(lambda: one.standing_in, "the stand-in")
                assert one.state == "lost", "a stand-in's connection is not the source's"
                await until(lambda: one.state == "connected", "the source")
                await until(lambda: not one.standing_in, "the stand-in to leave")
        assert await rig.values() == [1.0]
        events = [entry["event"] for entry in logs]
        assert events.index("stand-in started") < events.index("stand-in stopped")

    asyncio.run(scene())


def test_another_stand_in_takes_over_at_once_and_none_leaves_the_source_alone() -> None:
    def yields(value: float) -> ScriptedSource:
        reading = Reading("boiler-7", "value", value, 1, "line", 1, "", Quality.SIMULATED)
        return ScriptedSource(lambda intake: intake.readings([reading]), name="line")

    async def scene() -> None:
        first, second = yields(1.0), yields(2.0)
        source = ScriptedSource(fails_with(SourceRefused("no permission")), name="line")
        rig = Rig(SourceSpec(source, first, 0.0))
        [one] = rig.ingest.feeds
        async with rig:
            await until(lambda: first.intake, "the first")
            one.let_stand_in(second, 0.0)
            await until(lambda: second.intake and first.closed, "the second")
            assert first.intake is None
            one.let_stand_in(None, 0.0)
            await until(lambda: second.closed and not one.standing_in, "nobody")
            one.let_stand_in(first, 0.0)
            await until(lambda: first.runs == 2 and one.standing_in, "the first again")
            assert source.runs == 1
        assert await rig.values() == [1.0, 2.0, 1.0]

    asyncio.run(scene())


def asks(intake: Intake) -> None:
    intake.connected()
    intake.ready()


def test_who_fell_silent_is_looked_for_while_sources_are_read_and_not_while_they_are_made_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[tuple[Sequence[feed.Feed], set[str]]] = []
    monkeypatch.setattr(Presence, "tick", lambda _, __, feeds, *, waiting: looks.append((feeds, waiting)))

    async def scene() -> None:
        rig = Rig(SourceSpec(ScriptedSource(asks, name="line")))
        async with rig:
            await until(lambda: rig.beats and rig.ingest.feeds[0].state == "connected", "the first second")
            rig.ingest.look_who_waits(0.0)
        assert looks[-1][0] == rig.ingest.feeds

    for has_room in (True, False):
        monkeypatch.setattr(Spool, "has_room", lambda _, has_room=has_room: has_room)
        asyncio.run(scene())
        assert looks[-1][1] == (set() if has_room else {"line"})


@settings(max_examples=50, deadline=None)
@given(
    payloads=st.lists(st.sampled_from([b"1", b"1,2,3", b"#", b"bad", b"\xff"]), max_size=60),
    size=st.integers(1, 12),
)
def test_nothing_vanishes_between_source_and_spool(payloads: Sequence[bytes], size: int) -> None:
    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(*payloads)), batch_readings=size)
        async with rig:
            await until(lambda: rig.ledger.source("line").received == len(payloads), "all payloads")
        depth = rig.spool.depth()
        assert depth.readings == sum(p.count(b",") + 1 for p in payloads if p[:1] == b"1")
        assert depth.letters == sum(p in {b"bad", b"\xff"} for p in payloads)
        assert rig.ledger.snapshot(depth.in_memory, {})["balanced"]

    asyncio.run(scene())


def test_a_stand_in_that_fails_is_said_and_leaves_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.2)

    async def scene() -> None:
        lost = fails_with(SourceLost("unplugged"))
        broken = ScriptedSource(fails_with(SourceRefused("cannot write the truth file")), name="line")
        rig = Rig(SourceSpec(ScriptedSource(lost, connects, name="line"), broken, 0.0))
        with capture_logs() as logs:
            async with rig:
                await until(lambda: rig.ingest.feeds[0].state == "connected", "the source")
                await until(lambda: not rig.ingest.feeds[0].standing_in, "the stand-in to leave")
        [failure] = [entry for entry in logs if entry["event"] == "stand-in failed"]
        assert failure["problem"] == "cannot write the truth file"

    asyncio.run(scene())


@pytest.mark.parametrize("kind", ["simulator", "replay"])
def test_readings_made_here_have_their_times_from_the_clock_that_their_batch_is_corrected_by(
    kind: str, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("timestamp,value\n" + "".join(f"{1769860800 + n},{n}\n" for n in range(5)))
    tables: dict[str, dict[str, Any]] = {
        "simulator": {"interval": 0.01},
        "replay": {"file": str(rows), "speed": 100, "times": "now", "loop": True},
    }
    ahead, synchronised = -7 * 365 * 86_400 * SECOND, False
    clock = Clock(wall=lambda: time.time_ns() + ahead, synchronised=lambda: synchronised)

    async def scene() -> None:
        nonlocal ahead, synchronised
        began = time.time_ns()
        source = open_source("made", {"kind": kind, **tables[kind]})
        rig = Rig(SourceSpec(source), batch_readings=10**6, batch_age=60, clock=clock)

        def made() -> int:
            return rig.ledger.source("made").made

        async with rig:
            await until(lambda: made() > 10, "readings at the wrong time")
            ahead, synchronised = 0, True  # from here to adopt() the clock is set, and nobody has noticed
            before = made()
            await until(lambda: made() > before + 10, "readings after the clock was set")
            assert clock.adopt()
            rig.ingest.flush()  # as run() does, within a second
            before = made()
            await until(lambda: made() > before + 10, "readings at the right time")
        first, second = await rig.spool.read(10**6)
        assert clock.correction(second.unset) is None
        for batch in (first, second):
            correction = clock.correction(batch.unset)
            for raw in batch.readings:
                reading = correct(raw, correction) if correction else raw
                assert bool(reading.quality & Quality.CLOCK_CORRECTED) == (batch is first)
                assert began - SECOND < reading.time <= reading.received < time.time_ns() + SECOND

    asyncio.run(scene())


def test_a_defect_in_who_looks_on_costs_no_reading() -> None:
    def breaks(_: Sequence[Reading]) -> None:
        raise ZeroDivisionError

    async def scene() -> None:
        rig = Rig(SourceSpec(hands_over(b"1")))
        rig.ingest.on_readings = breaks
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # that of the timer, which shows it
        async with rig:
            await until(lambda: rig.spool.depth().readings, "the reading in the spool")

    asyncio.run(scene())
