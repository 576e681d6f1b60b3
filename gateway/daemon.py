"""gatewayd: reads the configuration, puts the parts together, runs them, and ends them in the right order."""

import argparse
import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import gateway.plain_structlog  # noqa: F401 - first, as all that follow import structlog

# isort: split
import structlog

from devices import registry
from devices.source import Home
from gateway import lifecycle, log
from gateway.capture_server import Captures
from gateway.clock import Clock
from gateway.config import ConfigError, GatewayConfig, load
from gateway.config_files import placed, usual_path
from gateway.control import daemon_socket
from gateway.control_server import ControlServer, StreamVerb, Verb
from gateway.device_verbs import device_page, forget_device
from gateway.forward import Forward, RivalError
from gateway.guard import look
from gateway.heartbeat import Heartbeat, summary
from gateway.identity import gateway_id, state_dir
from gateway.ingest import Ingest
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.sink import Sink
from gateway.kafka.transactional import TransactionalSink
from gateway.ledger import Ledger
from gateway.memory import one_arena
from gateway.metrics.gatewayd import families
from gateway.metrics.server import MetricsServer
from gateway.metrics.text import Family
from gateway.source_verbs import source_settings
from gateway.sources import SourceSpec, open_sources
from gateway.spool import open_spool
from gateway.status import Status
from gateway.tail_server import Tails

_log = structlog.get_logger()

DRAIN_DEADLINE: Final = 10.0
"""Seconds that a stop waits for Kafka to take what is still held. TimeoutStopSec= in the unit is longer."""

CLOSE_DEADLINE: Final = 5.0
"""Seconds that a stop waits for the sources to send their last acknowledgements."""

INTAKE_DEADLINE: Final = 30.0
FORWARD_DEADLINE: Final = 90.0
"""Seconds within which each worker must finish an attempt, successful or not, or the watchdog lets systemd restart
the daemon. An attempt at Kafka ends after at most three questions of ten seconds and a pause of ten."""


class Daemon:
    """All parts of one gateway. Made inside the event loop that runs it."""

    def __init__(
        self, config: GatewayConfig, specs: Sequence[SourceSpec], gateway: str, clock: Clock
    ) -> None:
        """`gateway` is this gateway's id.

        Raises:
            ConfigError: the Kafka client refuses its options, or the spool cannot be used.
        """
        ledger = Ledger()
        self._gateway = gateway
        self._spool = open_spool(state_dir(config.gateway) / "spool", config.spool, ledger)
        self._ingest = Ingest(specs, self._spool, ledger, config.ingest, gateway, clock=clock)
        self._sink = _sink(config, gateway)
        self._forward = Forward(self._spool, self._sink, ledger, config, gateway, clock=clock)
        self._status = Status(config, gateway, ledger, self._ingest, self._spool, clock=clock)
        tails = Tails(lambda: list(self._ingest.presence.rolls))
        self._ingest.on_readings = tails.heard
        self._control = ControlServer(
            daemon_socket(config.control.socket),
            {
                "ping": Verb("everybody", lambda _: {}),
                "status": Verb("everybody", lambda _: self._report()),
                "devices": Verb(
                    "everybody", lambda asked: device_page(self._ingest.presence, asked, time.monotonic())
                ),
                "forget device": Verb("members", lambda asked: forget_device(self._ingest.presence, asked)),
                "source settings": Verb("members", lambda asked: source_settings(config.sources, asked)),
                "capture": StreamVerb("members", Captures(specs, config.sources, gateway).serve),
                "tail": StreamVerb("members", tails.serve),
            },
        )
        self._heartbeat = Heartbeat(
            config.kafka.status_topic, gateway, clock, lambda: summary(self._report())
        )
        self._watchdog = lifecycle.Watchdog(lifecycle.watchdog_interval())

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end in order: sources, batch, Kafka, acknowledgements.

        READY waits for no Kafka, broker or port.

        Raises:
            ConfigError: the control socket cannot be made.
            RivalError: another daemon delivers under this gateway's id.
        """
        await self._control.start()
        intake = asyncio.create_task(
            self._ingest.run(self._watchdog.worker("ingest", INTAKE_DEADLINE).done), name="ingest"
        )
        forward = asyncio.create_task(
            self._forward.run(self._watchdog.worker("forward", FORWARD_DEADLINE).done, self._heartbeat),
            name="forward",
        )
        helpers = [
            asyncio.create_task(self._watchdog.run(), name="watchdog"),
            asyncio.create_task(self._tick(), name="status"),
            asyncio.create_task(self._spool.run(self._kafka_away), name="spool"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        lifecycle.notify(READY="1", STATUS="started")
        _log.info("started", gateway=self._gateway, version=version("iot-edge-gateway"))
        done, _ = await asyncio.wait(
            [intake, forward, *helpers, stopping], return_when=asyncio.FIRST_COMPLETED
        )
        lifecycle.notify(STOPPING="1", STATUS="stopping: delivering what is held")
        await _end(intake)
        self._ingest.flush()
        await self._drain(forward)
        await _end(forward)
        await self._forward.finish()
        await self._sink.close()
        for task in [*helpers, stopping]:
            await _end(task)
        await self._spool.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE):
                await self._ingest.close()
        await self._control.close()
        report = self._report()
        _log.info("stopped", gateway=self._gateway, ledger=report["ledger"])
        for task in done - {stopping}:
            task.result()  # a part ended by itself: a defect, shown with its traceback, and systemd starts us again

    def metrics(self) -> list[Family]:
        """What `gatewayctl status` says, for Prometheus."""
        return families(self._report())

    async def _drain(self, forward: "asyncio.Task[None]") -> None:
        """Wait until Kafka has what is held, but no longer than DRAIN_DEADLINE."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_DEADLINE):
                empty = asyncio.ensure_future(self._spool.empty())
                await asyncio.wait([forward, empty], return_when=asyncio.FIRST_COMPLETED)

    def _kafka_away(self) -> bool:
        return self._sink.link.reachable is False

    def _report(self) -> dict[str, Any]:
        return self._status.report(self._forward, self._sink)

    async def _tick(self) -> None:
        said: tuple[str, list[str]] | None = None
        while True:
            self._status.tick()
            report = self._report()
            lifecycle.notify(STATUS=_line(report))
            if said != (state := (report["health"], report["reasons"])):
                self._ingest.announce(*state)
                said = state
            await asyncio.sleep(1)


def _sink(config: GatewayConfig, gateway: str) -> Sink:
    if config.kafka.delivery == "exactly-once":
        return TransactionalSink(config.kafka, gateway)
    return IdempotentSink(config.kafka, f"gateway-{gateway}")


def _line(report: dict[str, object]) -> str:
    reasons = report["reasons"]
    first = f": {reasons[0]}" if isinstance(reasons, list) and reasons else ""
    return f"{report['health']}{first}"


async def _end(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def _serve(config: GatewayConfig, path: Path) -> None:
    gateway = gateway_id(config.gateway)
    home = Home(gateway, state_dir(config.gateway) / "sources")
    specs = open_sources(config, path, home)
    for sentence in registry.left_behind(home, config.sources):
        _log.warning("session left behind", problem=sentence)
    async with lifecycle.stop_on_signals() as stop:
        daemon = Daemon(config, specs, gateway, Clock(trusted=config.clock.trusted))
        gc.freeze()  # what is here now stays: looking through it for garbage again and again would be for nothing
        async with MetricsServer(config.metrics, daemon.metrics):
            await daemon.run(stop)


def parser() -> argparse.ArgumentParser:
    """The arguments of gatewayd."""
    made = argparse.ArgumentParser(
        prog="gatewayd", description="Reads sensors and delivers to Kafka.", allow_abbrev=False
    )
    made.add_argument(
        "--config",
        type=Path,
        default=usual_path("gateway"),
        help="configuration file (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )
    made.add_argument("--check", action="store_true", help="check the configuration and exit")
    made.add_argument("--version", action="version", version=version("iot-edge-gateway"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command gatewayd.

    Returns 0 after an ordered stop, 2 if the configuration is refused, 3 if another daemon delivers as this gateway.
    """
    options = parser().parse_args(arguments)
    one_arena()
    try:
        if options.check:
            from gateway.checking import check_gateway  # noqa: PLC0415 - no daemon needs it

            sys.stdout.write(check_gateway(options.config).text())
            return 0
        config = load(options.config, GatewayConfig)
        log.configure(config.log, "gatewayd")
        for sentence in look(options.config, state_dir(config.gateway)):
            _log.warning("not guarded", problem=sentence)
        asyncio.run(_serve(config, options.config))
    except ConfigError as error:
        sys.stderr.write(f"gatewayd: {placed(options.config, error)}\n")
        return 2
    except RivalError as error:
        _log.error("rival", problem=str(error))
        sys.stderr.write(f"gatewayd: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
