"""What `gatewayctl status` shows: health and why, each source, the spool, Kafka, and the ledger."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.config import GatewayConfig
from gateway.feed import Feed
from gateway.forward import Forward
from gateway.heartbeat import Health
from gateway.identity import state_dir
from gateway.ingest import Ingest
from gateway.intake import SourceIntake
from gateway.kafka.sink import Sink
from gateway.ledger import Ledger
from gateway.sources import place_of
from gateway.spans import span
from gateway.spool import Spool
from gateway.spool.batch import READING_BYTES

_log = structlog.get_logger()

WINDOW: Final = 10
"""Seconds over which rates are taken."""

RECENT: Final = 60.0
"""Seconds for which a dropped reading keeps the gateway unhealthy."""

DISK_BYTES: Final = 30.0
"""What a reading takes on disk, until enough are there to tell: a number from a device of few names."""

ENOUGH: Final = 1000


class Status:
    """Gathers the state of all parts. tick() is called once a second; everything from the event loop's thread.

    Attributes:
        config: what the parts go by.
        amiss: further reasons for not being healthy.
    """

    def __init__(
        self,
        config: GatewayConfig,
        gateway: str,
        ledger: Ledger,
        ingest: Ingest,
        spool: Spool,
        *,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.config = config
        self.amiss: Callable[[], Sequence[str]] = tuple
        self._gateway = gateway
        self._ledger = ledger
        self._ingest = ingest
        self._spool = spool
        self._started = time.monotonic()
        self._started_at = clock.now()
        self._samples: deque[tuple[float, dict[str, tuple[int, int]]]] = deque(maxlen=WINDOW + 1)
        self._dropped = 0
        self._dropped_said = 0
        self._dropped_at = self._said_at = time.monotonic() - RECENT - 1

    def tick(self) -> None:
        """Note the totals of this second, for the rates."""
        totals = {name: (one.made, one.delivered) for name, one in self._ledger.sources.items()}
        self._samples.append((time.monotonic(), totals))
        dropped = sum(sum(one.dropped.values()) for one in self._ledger.sources.values())
        if dropped > self._dropped:
            self._dropped, self._dropped_at = dropped, time.monotonic()
        if dropped > self._dropped_said and time.monotonic() - self._said_at > RECENT:
            _log.warning(
                "readings dropped",
                count=dropped - self._dropped_said,
                policy=self.config.spool.when_full,
                remedy="the spool was full or damaged, the ledger says which: give it more room, or mend Kafka",
            )
            self._dropped_said, self._said_at = dropped, time.monotonic()

    def report(self, forward: Forward, sink: Sink) -> dict[str, Any]:
        """Everything, as plain data. Its keys are the contract of `gatewayctl status --json` (docs/status.md)."""
        now = time.monotonic()
        pairs = list(zip(self._ingest.feeds, self._ingest.intakes, strict=True))
        sources = [self._source(feed, intake, now) for feed, intake in pairs]
        spool = self._spool_report(sources)
        kafka = self._kafka_report(forward, sink, now)
        ledger = {**self._ledger_report(), "unclean_stops": forward.unclean_stops}
        health, reasons = self._judge(sources, spool, kafka, ledger, now)
        return {
            "health": health,
            "reasons": reasons,
            "gateway": {
                "id": self._gateway,
                "version": version("iot-edge-gateway"),
                "pid": os.getpid(),
                "started": self._started_at,
                "uptime_s": round(now - self._started, 1),
            },
            "sources": sources,
            "spool": spool,
            "kafka": kafka,
            "clock": {"synchronised": self._clock.synchronised},
            "ledger": ledger,
            "since_start": self._ledger.since_start(),
        }

    def _rate(self, name: str, which: int) -> float:
        """Readings per second of a source: made (0) or delivered (1)."""
        if len(self._samples) < 2:  # noqa: PLR2004 - a rate needs two points
            return 0.0
        (first_time, first), (last_time, last) = self._samples[0], self._samples[-1]
        change = last.get(name, (0, 0))[which] - first.get(name, (0, 0))[which]
        return round(change / (last_time - first_time), 1)

    def _source(self, feed: Feed, intake: SourceIntake, now: float) -> dict[str, Any]:
        name = feed.source.name
        age = round(now - intake.last_reading, 1) if intake.last_reading else None
        roll = self._ingest.presence.rolls[name]
        quiet = now - max(intake.last_reading, intake.waited, feed.since)
        connected = feed.state == "connected"
        table = self.config.sources[name]
        row = {
            "name": name,
            "kind": table["kind"],
            "where": place_of(table),
            "state": feed.state,
            "for_s": round(now - feed.since, 1),
            "trouble": feed.trouble,
            "last_trouble": feed.last_trouble,
            "last_trouble_age_s": round(now - feed.troubled, 1) if feed.troubled else None,
            "standing_in": feed.standing_in,
            "silent": connected and not intake.waits and quiet > self.config.health.silent_after,
            "waiting": connected and intake.waits,
            "readings_per_s": self._rate(name, 0),
            "last_reading_age_s": age,
            "devices": len(roll.devices),
            "devices_silent": len(roll.silent),
            "devices_missing": len(roll.missing) if roll.overdue else 0,
            "devices_forgotten": roll.forgotten,
            "counts": dict(feed.source.counts),
            "dead_letters": self._ledger.source(name).dead_lettered,
            "dead_letters_by_reason": dict(intake.rejected),
        }
        row["problems"] = [*_judge_link(row), *_judge_devices(row)]
        return row

    def _spool_report(self, sources: list[dict[str, Any]]) -> dict[str, Any]:
        depth = self._spool.depth()
        inflow = sum(source["readings_per_s"] for source in sources)
        on_disk = sum(depth.spooled.values())
        if depth.trouble:
            each, room = float(READING_BYTES), max(0, depth.memory_capacity - depth.memory_size)
        else:
            each = depth.disk_size / on_disk if on_disk > ENOUGH else DISK_BYTES
            room = max(0, depth.disk_capacity - depth.disk_size)
        return {
            "id": self._spool.id,
            "epoch": self._spool.epoch,
            "folder": str((state_dir(self.config.gateway) / "spool").absolute()),
            "readings": depth.readings,
            "on_disk": on_disk,
            "dead_letters": depth.letters,
            "dead_letters_on_disk": depth.letters_spooled,
            "bytes": depth.disk_size,
            "capacity_bytes": depth.disk_capacity,
            "memory_bytes": depth.memory_size,
            "memory_capacity_bytes": depth.memory_capacity,
            "segments": depth.segments,
            "quarantined": depth.quarantined,
            "quarantine_copies": depth.copies,
            "trouble": depth.trouble,
            "oldest_age_s": round((self._clock.now() - depth.oldest) / 1e9, 1) if depth.oldest else None,
            "lasts_s": round(room / (inflow * each)) if inflow > 0 else None,
            "when_full": self.config.spool.when_full,
        }

    def _kafka_report(self, forward: Forward, sink: Sink, now: float) -> dict[str, Any]:
        link = sink.link
        names = self._ledger.sources
        return {
            "bootstrap_servers": self.config.kafka.bootstrap_servers,
            "reachable": link.reachable,
            "for_s": round(now - link.since, 1),
            "trouble": link.trouble,
            "delivered_per_s": round(sum(self._rate(name, 1) for name in names), 1),
            "last_delivery_age_s": round(now - forward.last_delivery, 1) if forward.last_delivery else None,
        }

    def _ledger_report(self) -> dict[str, Any]:
        in_memory = self._ingest.in_batch()
        depth = self._spool.depth()
        for name, count in depth.in_memory.items():
            in_memory[name] = in_memory.get(name, 0) + count
        return self._ledger.snapshot(in_memory, depth.spooled)

    def _judge(
        self,
        sources: list[dict[str, Any]],
        spool: dict[str, Any],
        kafka: dict[str, Any],
        ledger: dict[str, Any],
        now: float,
    ) -> tuple[Health, list[str]]:
        """Health means data: down if nothing comes in or readings are being lost, degraded if something is amiss."""
        down: list[str] = []
        amiss = list(self.amiss())
        for source in sources:
            amiss += [f"source {source['name']} {problem}" for problem in _judge_link(source)]
        named = [s["name"] for s in sources if s["silent"] or s["waiting"]]
        amiss += self._ingest.presence.reasons(now, but=named)
        dropping = now - self._dropped_at < RECENT
        flowing = [
            s for s in sources if (s["state"] == "connected" and not s["silent"]) or s["state"] == "ended"
        ]
        if not flowing:
            down.append("no source yields readings")
        way_out = [*_judge_kafka(kafka, spool, dropping=dropping), *_judge_disk(spool)]
        # What makes a source wait is named before it.
        amiss = [*way_out, *amiss] if any(s["waiting"] for s in sources) else [*amiss, *way_out]
        if not self._clock.synchronised:
            amiss.append(
                "the clock is not synchronised, so readings are marked clock_unset; set it up (timedatectl), or say "
                "trusted = true in [clock] if something other than NTP keeps it right"
            )
        if dropping:
            down.append("readings were dropped in the last minute; the ledger says why")
        if not ledger["balanced"]:
            amiss.append("the ledger does not balance: please report this with `gatewayctl status --json`")
        return ("down" if down else "degraded" if amiss else "healthy"), down + amiss


def _judge_link(source: dict[str, Any]) -> list[str]:
    """What is wrong with a source itself: ends of a sentence about it."""
    if source["state"] in {"lost", "refused", "connecting"}:
        stand_in = "; simulated readings stand in" if source["standing_in"] else ""
        return [f"is {source['state']}: {source['trouble'] or 'not connected yet'}{stand_in}"]
    if source["silent"]:
        return ["is connected but silent: check that its devices send"]
    if source["waiting"]:
        return ["is made to wait: there is no room for more readings"]
    return []


def _judge_devices(source: dict[str, Any]) -> list[str]:
    counts = [("silent", source["devices_silent"]), ("not heard since the start", source["devices_missing"])]
    said = ", ".join(f"{count} {words}" for words, count in counts if count)
    return [f"has devices that are missed: {said}; see `gatewayctl devices list`"] if said else []


def _judge_kafka(kafka: dict[str, Any], spool: dict[str, Any], *, dropping: bool) -> list[str]:
    if kafka["reachable"] is False:
        lasts = f", with room for {span(spool['lasts_s'])} more" if spool["lasts_s"] else ""
        kept = "" if dropping else ", readings are kept"
        return [f"Kafka is unreachable{kept}: {kafka['trouble']}{lasts}"]
    return [] if kafka["reachable"] else ["Kafka has not answered yet"]


def _judge_disk(spool: dict[str, Any]) -> list[str]:
    amiss = []
    if trouble := spool["trouble"]:
        amiss.append(
            f"the spool's disk is in trouble, readings wait in memory only: {trouble}; make room or replace the disk"
        )
    if damaged := spool["quarantined"]:
        amiss.append(
            f"{damaged} damaged frames were found in the spool since the start; its folder quarantine has copies"
        )
    return amiss
