"""What the status says of sources, devices and the quality of connections."""

import asyncio
import time
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest
from heard import Hall, batch_of
from waiting import until

from devices.errors import SourceLost
from devices.source import Intake
from gateway.cli import spool as cli_spool
from gateway.cli import status as cli_status
from gateway.clock import Clock
from gateway.config import GatewayConfig, Health
from gateway.config import Spool as SpoolSettings
from gateway.forward import Forward
from gateway.ingest import Ingest
from gateway.kafka.sink import Sink
from gateway.ledger import Ledger
from gateway.sources import SourceSpec
from gateway.spans import span
from gateway.spool import Spool
from gateway.status import Status
from gateway.testing import ScriptedSource, connects
from gateway.testing_fs import FaultFiles, read_only

FORWARD = cast("Forward", SimpleNamespace(unclean_stops=0, last_delivery=0.0))
SINK = cast("Sink", SimpleNamespace(link=SimpleNamespace(reachable=True, since=0.0, trouble="")))

AWAY = cast("Sink", SimpleNamespace(link=SimpleNamespace(reachable=False, since=0.0, trouble="refused")))


def hands_over(intake: Intake) -> None:
    intake.connected()
    intake.readings(batch_of(("plant", "boiler-7"), ("plant", "pump")).readings)


async def reports(source: ScriptedSource) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two: of a daemon that has just heard two devices, and of the same once one of them is silent."""
    config = GatewayConfig({"plant": {"kind": "serial"}})
    clock, ledger = Clock(trusted=True), Ledger()
    spool = Spool(config.spool, ledger, FaultFiles())
    ingest = Ingest([SourceSpec(source)], spool, ledger, config.ingest, "pi-7", clock=clock)
    status = Status(config, "pi-7", ledger, ingest, spool, clock=clock)
    task = asyncio.create_task(ingest.run(lambda: None))
    roll = ingest.presence.rolls["plant"]
    await until(lambda: len(roll.devices) == 2, "the batch to be noted")
    before = status.report(FORWARD, SINK)
    roll.silent["pump"] = roll.devices["pump"]
    after = status.report(FORWARD, SINK)
    task.cancel()
    await asyncio.wait([task])
    return before, after


def test_a_silent_device_makes_the_gateway_degraded_and_is_named() -> None:
    before, after = asyncio.run(reports(ScriptedSource(hands_over, name="plant")))

    assert (before["health"], before["reasons"]) == ("healthy", [])
    [source] = before["sources"]
    assert (source["devices"], source["devices_silent"], source["devices_missing"]) == (2, 0, 0)
    assert after["health"] == "degraded"
    assert "device pump (source plant) silent" in after["reasons"][0]
    assert after["sources"][0]["devices_silent"] == 1


def test_the_counts_of_a_source_are_shown_with_its_dead_letters() -> None:
    source = ScriptedSource(hands_over, name="plant")
    source.counts["checksum_errors"] = 3
    [shown] = asyncio.run(reports(source))[0]["sources"]

    assert (shown["counts"], shown["dead_letters"]) == ({"checksum_errors": 3}, 0)


async def held_back(source: ScriptedSource, *, memory: int = 12_000_000) -> list[dict[str, Any]]:
    """Reports while Kafka and the disk are away: before the source has been quiet for long, then, and once there is room."""
    table = {"plant": {"kind": "mqtt"}}
    config = GatewayConfig(table, spool=SpoolSettings(memory_bytes=memory), health=Health(silent_after=5.0))
    clock, ledger, files = Clock(trusted=True), Ledger(), FaultFiles()
    spool = Spool(config.spool, ledger, files)
    files.hook = read_only
    ingest = Ingest([SourceSpec(source)], spool, ledger, config.ingest, "pi-7", clock=clock)
    status = Status(config, "pi-7", ledger, ingest, spool, clock=clock)
    tasks = [
        asyncio.create_task(ingest.run(lambda: None)),
        asyncio.create_task(spool.run(lambda: True)),
    ]
    await until(lambda: spool.depth().trouble, "the disk to refuse")
    [intake] = ingest.intakes
    said = [status.report(FORWARD, AWAY)]
    ingest.feeds[0].since = intake.last_reading = time.monotonic() - 60
    ingest.look_who_waits(time.monotonic())
    said.append(status.report(FORWARD, AWAY))
    spool.commit((await spool.read(1_000_000))[-1].last)
    intake.ready()
    ingest.look_who_waits(time.monotonic())
    said.append(status.report(FORWARD, SINK))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return said


def fills_the_window(intake: Intake) -> None:
    intake.connected()
    for receipt in ("one", "two"):
        intake.readings(batch_of(("plant", "boiler-7")).readings, receipt)


def fills_the_memory(intake: Intake) -> None:
    intake.connected()
    while intake.ready():
        intake.readings(batch_of(*[("plant", "boiler-7")] * 500).readings, "one")


def test_a_source_that_may_not_send_is_made_to_wait_and_not_silent_and_what_is_in_the_way_is_named_first() -> (
    None
):
    window = ScriptedSource(fills_the_window, name="plant")
    window.window = 2
    for source in (window, ScriptedSource(fills_the_memory, name="plant")):
        before, waiting, after = asyncio.run(held_back(source, memory=1_000_000))

        assert not before["sources"][0]["waiting"]  # in good times, too, a window is full for a moment
        [shown] = waiting["sources"]
        assert (shown["state"], shown["waiting"], shown["silent"]) == ("connected", True, False)
        assert waiting["health"] == "degraded"
        kafka, disk, plant = waiting["reasons"]
        assert kafka.startswith("Kafka is unreachable")
        assert disk.startswith("the spool's disk is in trouble")
        assert plant == "source plant is made to wait: there is no room for more readings"
        screen = "\n".join(cli_status.lines(waiting, colour=False))
        assert "waiting" in screen
        assert "no room for what plant would bring" in screen
        assert "room         no room for what plant would bring" in cli_spool.lines(waiting)
        # It has had no time yet to send.
        assert (after["sources"][0]["waiting"], after["sources"][0]["silent"]) == (False, False)


def test_how_long_there_is_room_is_said_in_the_same_words_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    config = GatewayConfig({"plant": {"kind": "mqtt"}})
    clock, ledger = Clock(trusted=True), Ledger()
    spool = Spool(config.spool, ledger, FaultFiles())
    specs = [SourceSpec(ScriptedSource(connects, name="plant"))]
    ingest = Ingest(specs, spool, ledger, config.ingest, "pi-7", clock=clock)
    passing = SimpleNamespace(monotonic=count(1000.0, 5.0).__next__)
    monkeypatch.setattr("gateway.status.time", passing)
    status = Status(config, "pi-7", ledger, ingest, spool, clock=clock)
    for _ in range(5):
        status.tick()
        ledger.source("plant").made += 20
    said = status.report(FORWARD, AWAY)

    room = span(said["spool"]["lasts_s"])
    assert room.endswith(" d")
    assert any(reason.endswith(f", with room for {room} more") for reason in said["reasons"])
    assert f"lasts {room} more" in "\n".join(cli_status.lines(said, colour=False))


def test_the_devices_of_a_source_that_waits_are_not_called_silent_those_of_others_are() -> None:
    hall = Hall("plant", "line")
    hall.wait(30, ("plant", "boiler-7"), ("line", "pump"), every=1.0)
    hall.waiting = ["plant"]
    hall.wait(30)

    assert hall.state("boiler-7", "plant") != "silent"
    assert hall.state("pump", "line") == "silent"


def test_a_source_says_what_is_wrong_with_it_and_what_was() -> None:
    def fails(intake: Intake) -> None:
        hands_over(intake)
        raise SourceLost("no such port")

    source = ScriptedSource(fails, hands_over, name="plant")
    _, after = asyncio.run(reports(source))

    [row] = after["sources"]
    assert (row["state"], row["trouble"], row["last_trouble"]) == ("lost", "no such port", "no such port")
    assert 0 <= row["last_trouble_age_s"] < 60
    assert row["problems"] == [
        "is lost: no such port",
        "has devices that are missed: 1 silent; see `gatewayctl devices list`",
    ]
    assert after["reasons"][0] == "no source yields readings"
    assert after["reasons"][1] == "source plant is lost: no such port"
