"""gateway-detect: reads the configuration, puts the parts together, runs them, and ends them in the right order."""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway import lifecycle, log
from gateway.config import ConfigError
from gateway.detect.bank import Bank, Said
from gateway.detect.config import DetectConfig, load_detect
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.consumer import ReadingsConsumer
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.sink import MAX_RECORDS
from gateway.wire import Anomaly, encode_anomaly

_log = structlog.get_logger()

DEFAULT_CONFIG: Final = Path("/etc/gateway/detect.toml")

DETECT_DEADLINE: Final = 90.0
"""Seconds within which an attempt must end, successful or not, or the watchdog lets systemd restart the service.
The longest one asks Kafka three questions of ten seconds."""

STOP_DEADLINE: Final = 5.0
"""Seconds that a stop waits for Kafka to take the anomalies of the last poll."""

SUMMARY_EVERY: Final = 60.0
PAUSE: Final = 2.0
"""Seconds between two summaries in the log, and between two attempts at a Kafka that is away."""


class Detect:
    """All parts of one gateway-detect. Made inside the event loop that runs it."""

    def __init__(self, config: DetectConfig) -> None:
        """Connects to nothing yet.

        Raises:
            ConfigError: the Kafka client refuses its options.
        """
        self._config = config
        self._bank = Bank(config)
        self._sink = IdempotentSink(config.kafka, config.group)
        self._consumer = ReadingsConsumer(config.kafka, config.group, config.start)
        self._watchdog = lifecycle.Watchdog(lifecycle.watchdog_interval())
        self._attempt_done = self._watchdog.worker("detect", DETECT_DEADLINE).done
        self._refused = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Detect until `stop` is set; then finish what was polled, tell Kafka the position, and end.

        READY waits for no Kafka.
        """
        lifecycle.notify(READY="1", STATUS="started")
        _log.info("started", version=version("iot-edge-gateway"), group=self._config.group)
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(self._watchdog.run()), tasks.create_task(self._summaries())]
            detect = tasks.create_task(self._detect(stop))
            await stop.wait()
            lifecycle.notify(STOPPING="1", STATUS="stopping")
            await asyncio.wait([detect], timeout=STOP_DEADLINE)
            await self._sink.close()  # ends a delivery that Kafka does not answer
            await asyncio.wait([detect])
            await self._consumer.close()
            for helper in helpers:
                helper.cancel()
        _log.info("stopped", **self._totals())

    async def _detect(self, stop: asyncio.Event) -> None:
        await self._prepare(stop)
        while not stop.is_set():
            arrivals = await self._consumer.poll()
            said = self._bank.judge(arrivals)
            for one in said:
                _say(one.anomaly)
            if await self._deliver(said, stop):
                self._consumer.done()
            await self._sink.idle()
            self._attempt_done()

    async def _prepare(self, stop: asyncio.Event) -> None:
        """Make the topics where that is allowed; waits for Kafka as long as it takes."""
        topics = [self._config.kafka.readings_topic, self._config.kafka.anomalies_topic]
        while not stop.is_set():
            try:
                await self._sink.resume(topics, self._attempt_done)
            except KafkaUnavailableError:
                self._attempt_done()
                await _pause(stop)
            else:
                return

    async def _deliver(self, said: Sequence[Said], stop: asyncio.Event) -> bool:
        """Write anomalies, however long it takes; whether all are settled (not, if a stop came first)."""
        topic = self._config.kafka.anomalies_topic
        records = [Record(topic, one.key, encode_anomaly(one.anomaly)) for one in said]
        for first in range(0, len(records), MAX_RECORDS):
            if not await self._send(records[first : first + MAX_RECORDS], stop):
                return False
        return True

    async def _send(self, records: list[Record], stop: asyncio.Event) -> bool:
        while records:
            sent = await self._sink.send(records, None, self._attempt_done)
            for _, reason in sent.refused:
                self._refused += 1
                _log.error("anomaly refused by kafka", reason=reason)
            records = sent.pending
            if records:
                if stop.is_set():
                    return False
                await _pause(stop)
        return True

    async def _summaries(self) -> None:
        before, then = self._totals(), time.monotonic()
        while True:
            await asyncio.sleep(SUMMARY_EVERY)
            now, totals = time.monotonic(), self._totals()
            rate = round((totals["judged"] - before["judged"]) / (now - then), 1)
            _log.info("detecting", per_second=rate, **totals)
            lifecycle.notify(
                STATUS=f"{rate} readings/s, {totals['sensors']} sensors, {totals['open']} anomalies open"
            )
            before, then = totals, now

    def _totals(self) -> dict[str, int]:
        counts: dict[str, int] = msgspec.structs.asdict(self._bank.counts)
        return {
            **counts,
            "unreadable": self._consumer.unreadable,
            "refused": self._refused,
            "sensors": self._bank.sensors,
            "open": self._bank.open,
        }


def _say(anomaly: Anomaly) -> None:
    """To the log; of a storm only that it is one, and not what it is made of."""
    if anomaly.storm and anomaly.storm != anomaly.id:
        return
    say = _log.warning if anomaly.event in {"raised", "updated"} else _log.info
    say(
        "anomaly",
        state=anomaly.event,
        gateway=anomaly.gateway,
        device=anomaly.device,
        sensor=anomaly.sensor,
        rule=anomaly.rule,
        grade=anomaly.grade,
        sentence=anomaly.sentence,
        id=anomaly.id,
    )


async def _pause(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PAUSE):
            await stop.wait()


async def _serve(config: DetectConfig) -> None:
    async with lifecycle.stop_on_signals() as stop:
        await Detect(config).run(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command gateway-detect. Returns 0 after an ordered stop, 2 if the configuration is refused."""
    parser = argparse.ArgumentParser(
        prog="gateway-detect", description="Reads readings back from Kafka and flags anomalies."
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, help="configuration file (default: %(default)s)"
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--version", action="version", version=version("iot-edge-gateway"))
    options = parser.parse_args(arguments)
    try:
        config = load_detect(options.config)
        if options.check:
            sys.stdout.write(f"{options.config}: good\n")
            return 0
        log.configure(config.log, "gateway-detect")
        asyncio.run(_serve(config))
    except ConfigError as error:
        sys.stderr.write(f"gateway-detect: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
