"""What the status says of devices and of the quality of connections."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from heard import batch_of
from waiting import until

from devices.source import Intake
from gateway.clock import Clock
from gateway.config import GatewayConfig
from gateway.forward import Forward
from gateway.ingest import Ingest
from gateway.kafka.sink import Sink
from gateway.ledger import Ledger
from gateway.sources import SourceSpec
from gateway.spool import Spool
from gateway.status import Status
from gateway.testing import ScriptedSource
from gateway.testing_fs import FaultFiles

FORWARD = cast("Forward", SimpleNamespace(unclean_stops=0, last_delivery=0.0))
SINK = cast("Sink", SimpleNamespace(link=SimpleNamespace(reachable=True, since=0.0, trouble="")))


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
