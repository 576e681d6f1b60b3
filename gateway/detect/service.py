"""gateway-detect: reads the configuration, puts the parts together, runs them, and ends them in the right order."""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from gateway import lifecycle, log
from gateway.config import ConfigError
from gateway.config_files import placed, usual_path
from gateway.detect.bank import Bank
from gateway.detect.checking import check_detect
from gateway.detect.config import DetectConfig, load_detect
from gateway.detect.detect import Detect
from gateway.detect.judge import MakeBank
from gateway.detect.lives import Lives
from gateway.detect.metrics import families
from gateway.detect.place import Place
from gateway.detect.publish import MqttPublisher
from gateway.guard import warn
from gateway.identity import state_folder
from gateway.kafka.consumer import ReadingsConsumer
from gateway.kafka.once import ExactlyOnceOutlet
from gateway.kafka.outlet import Outlet
from gateway.kafka.repeating import AtLeastOnceOutlet
from gateway.kafka.state_topic import StateTopicError
from gateway.metrics.server import MetricsServer

_log = structlog.get_logger()

DETECT_DEADLINE: Final = 90.0
"""Seconds within which an attempt must end, successful or not, or the watchdog lets systemd restart the service.
The longest one asks Kafka three questions of ten seconds."""

STOP_DEADLINE: Final = 8.0
SNAPSHOT_DEADLINE: Final = 25.0
"""Seconds that a stop waits for Kafka to take the anomalies of the last poll; and more, if it answers, for the last snapshot."""

BankOf = Callable[[DetectConfig], MakeBank]
"""Makes what makes the banks that go by a configuration."""

SUMMARY_EVERY: Final = 60.0
"""Seconds between two summaries in the log."""


async def serve(
    config: DetectConfig,
    make_bank: MakeBank,
    end: asyncio.Event,
    attempt_done: Callable[[], None],
    lives: Lives,
) -> None:
    """Detect until `end` is set; then write what was polled and a snapshot, leave the group, and end.

    `lives` hears that it has begun, which waits for no Kafka.

    Raises:
        ConfigError: the Kafka client refuses its options, or the state folder or the port of the metrics cannot be used.
        StateTopicError: see there.
    """
    async with contextlib.AsyncExitStack() as stack:
        place = _place(config, stack)
        await stack.enter_async_context(
            MetricsServer(config.metrics, lambda: families(detect, outlet, config.group))
        )
        consumer = ReadingsConsumer(config.kafka, config.group)
        try:
            outlet = _outlet(config, consumer, place)
        except ConfigError:
            await consumer.close()
            raise
        detect = Detect(config, make_bank, consumer, outlet, attempt_done)
        publisher = MqttPublisher(config.mqtt, config.kafka, config.group) if config.mqtt.broker else None
        if publisher is not None:
            publisher.start()
        lives.begun()
        _log.info("started", version=version("iot-edge-gateway"), group=config.group)
        summaries = asyncio.create_task(_summaries(detect.totals, lives.reloads.reasons))
        work = asyncio.create_task(detect.run(end))
        ending = asyncio.create_task(end.wait())
        settling = asyncio.create_task(_settled(detect.at_work, lives))
        await asyncio.wait([work, ending], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([work], timeout=STOP_DEADLINE)
        if outlet.link.reachable:
            await asyncio.wait([work], timeout=SNAPSHOT_DEADLINE)
        detect.hurry()
        await outlet.close()  # ends a write that Kafka does not answer
        await asyncio.wait([work])
        await consumer.close()
        if publisher is not None:
            await publisher.close()
        for helper in (summaries, ending, settling):
            helper.cancel()
        _log.info("stopped", **detect.totals())
        work.result()


def _place(config: DetectConfig, stack: contextlib.AsyncExitStack) -> str:
    """The name of this process where several transactions must not be called the same; left with `stack`."""
    if config.kafka.delivery == "at-least-once":
        return ""
    place = Place(state_folder(config.state_dir, "gateway-detect"), config.group)
    stack.callback(place.leave)
    return place.name


def _outlet(config: DetectConfig, consumer: ReadingsConsumer, place: str) -> Outlet:
    if config.kafka.delivery == "at-least-once":
        return AtLeastOnceOutlet(config.kafka, config.group, consumer.commit)
    return ExactlyOnceOutlet(config.kafka, config.group, place)


async def _settled(at_work: asyncio.Event, lives: Lives) -> None:
    await at_work.wait()
    lives.settled()


async def _summaries(count: Callable[[], dict[str, int]], reasons: Callable[[], list[str]]) -> None:
    before, then = count(), time.monotonic()
    while True:
        await asyncio.sleep(SUMMARY_EVERY)
        now, totals = time.monotonic(), count()
        rate = round((totals.get("judged", 0) - before.get("judged", 0)) / (now - then), 1)
        _log.info("detecting", per_second=rate, **totals)
        lifecycle.notify(
            STATUS=f"{rate} readings/s, {totals['sensors']} sensors in {totals['partitions']} partitions, "
            f"{totals['open']} anomalies open{''.join(f'; {reason}' for reason in reasons())}"
        )
        before, then = totals, now


async def _serve(config: DetectConfig, bank_of: BankOf, path: Path) -> None:
    async def live(one: DetectConfig, end: asyncio.Event, lives: Lives) -> None:
        await serve(one, bank_of(one), end, attempt_done, lives)

    watchdog = lifecycle.Watchdog(lifecycle.watchdog_interval())
    attempt_done = watchdog.worker("detect", DETECT_DEADLINE).done
    watching = asyncio.create_task(watchdog.run())
    async with lifecycle.stop_on_signals() as stop:
        with lifecycle.reload_on_signal(stop) as wanted:
            await Lives(config, path, wanted).run(stop, live)
    watching.cancel()


def run(config: DetectConfig, bank_of: BankOf, path: Path) -> int:
    """All of it, until a signal. `path` is the file of the configuration.

    Returns 0 after an ordered stop, 2 if the configuration or its topics are refused.
    """
    try:
        log.configure(config.log, "gateway-detect")
        warn(path, state_folder(config.state_dir, "gateway-detect"))
        asyncio.run(_serve(config, bank_of, path))
    except ConfigError as error:
        sys.stderr.write(f"gateway-detect: {placed(path, error)}\n")
        return 2
    except StateTopicError as error:
        sys.stderr.write(f"gateway-detect: {error}\n")
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments of the service; its command `backtest` has its own."""
    made = argparse.ArgumentParser(
        prog="gateway-detect",
        description="Reads readings back from Kafka and flags anomalies.",
        epilog="`gateway-detect backtest --help` tells how to run it over recorded readings.",
        allow_abbrev=False,
    )
    made.add_argument(
        "--config",
        type=Path,
        default=usual_path("detect"),
        help="configuration file (default: $DETECT_CONFIG, else /etc/gateway/detect.toml)",
    )
    made.add_argument("--check", action="store_true", help="check the configuration and exit")
    made.add_argument("--version", action="version", version=version("iot-edge-gateway"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command gateway-detect. Returns 0 after an ordered stop, 2 if the configuration is refused."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["backtest"]:
        from gateway.detect.backtest.command import main as backtest  # noqa: PLC0415 - the service needs nothing of it

        return backtest(words[1:])
    options = parser().parse_args(words)
    try:
        if options.check:
            sys.stdout.write(check_detect(options.config).text())
            return 0
        config = load_detect(options.config)
    except ConfigError as error:
        sys.stderr.write(f"gateway-detect: {error}\n")
        return 2
    return run(config, lambda one: partial(Bank, one), options.config)


if __name__ == "__main__":
    sys.exit(main())
