"""All parts of gatewayd: puts them together, runs them, applies another configuration, and ends them in the right order."""

import asyncio
import contextlib
import gc
import time
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
from gateway.changes import Changes, read_anew
from gateway.clock import Clock
from gateway.config import ConfigError, GatewayConfig
from gateway.config_files import placed
from gateway.control import daemon_socket
from gateway.control_server import ControlServer, StreamVerb, Verb
from gateway.delivery import Delivery
from gateway.device_verbs import device_page, forget_device
from gateway.forward import Forward
from gateway.heartbeat import Heartbeat, summary
from gateway.identity import gateway_id, state_dir
from gateway.ingest import Ingest
from gateway.kafka.sink import Sink
from gateway.kafka.sinks import sink_of
from gateway.ledger import Ledger
from gateway.metrics.gatewayd import families
from gateway.metrics.server import MetricsServer
from gateway.reloads import UNCHANGED, Outcome, Reloads
from gateway.setup import Setup, set_up
from gateway.source_verbs import source_settings
from gateway.spool import open_spool
from gateway.status import Status
from gateway.tail_server import Tails

_log = structlog.get_logger()

DRAIN_DEADLINE: Final = 10.0
"""Seconds that a stop waits for Kafka to take what is still held. TimeoutStopSec= in the unit is longer."""

LOOK: Final = 0.1
"""Seconds between two looks whether Kafka is still there."""

CLOSE_DEADLINE: Final = 5.0
"""Seconds that a stop waits for the sources to send their last acknowledgements."""

INTAKE_DEADLINE: Final = 30.0
FORWARD_DEADLINE: Final = 90.0
"""Seconds within which each worker must finish an attempt, successful or not, or the watchdog lets systemd restart
the daemon. An attempt at Kafka ends after at most three questions of ten seconds and a pause of ten."""


class Daemon:
    """All parts of one gateway. Made inside the event loop that runs it."""

    def __init__(self, path: Path, setup: Setup, home: Home, wanted: asyncio.Event) -> None:
        """`path` is the file of `setup`, `home` this gateway; `wanted` is set where the file is to be read anew.

        Raises:
            ConfigError: the Kafka client refuses its options, or the spool cannot be used.
        """
        config = setup.config
        self._path = path
        self._setup = setup
        self._home = home
        self._gateway = gateway = home.gateway
        self._clock = clock = Clock(trusted=config.clock.trusted)
        ledger = Ledger()
        self._spool = open_spool(state_dir(config.gateway) / "spool", config.spool, ledger)
        self._ingest = Ingest(setup.specs, self._spool, ledger, config.ingest, gateway, clock=clock)
        self._forward = Forward(
            self._spool, sink_of(config.kafka, gateway), ledger, config, gateway, clock=clock
        )
        self._delivery = Delivery(self._forward)
        self._reloads = Reloads(self._reload, wanted)
        self._status = Status(config, gateway, ledger, self._ingest, self._spool, clock=clock)
        self._status.amiss = self._reloads.reasons
        self._captures = Captures(setup.specs, config.sources, gateway)
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
                "source settings": Verb(
                    "members", lambda asked: source_settings(self._setup.config.sources, asked)
                ),
                "capture": StreamVerb("members", self._captures.serve),
                "reload": StreamVerb("members", self._reloads.serve),
                "tail": StreamVerb("members", tails.serve),
            },
        )
        self._heartbeat = Heartbeat(
            config.kafka.status_topic, gateway, clock, lambda: summary(self._report())
        )
        self._watchdog = lifecycle.Watchdog(lifecycle.watchdog_interval())
        self._metrics = MetricsServer(config.metrics, lambda: families(self._report()))
        self._said: tuple[str, list[str]] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end in order: sources, batch, Kafka, acknowledgements.

        READY waits for no Kafka, broker or port.

        Raises:
            ConfigError: the control socket or the port of the metrics cannot be had.
            RivalError: another daemon delivers under this gateway's id.
        """
        async with self._metrics:
            await self._control.start()
            intake = asyncio.create_task(
                self._ingest.run(self._watchdog.worker("ingest", INTAKE_DEADLINE).done), name="ingest"
            )
            forward = asyncio.create_task(
                self._delivery.run(self._watchdog.worker("forward", FORWARD_DEADLINE).done, self._heartbeat),
                name="forward",
            )
            reloading = asyncio.create_task(self._reloads.run(), name="reload")
            helpers = [
                asyncio.create_task(self._watchdog.run(), name="watchdog"),
                asyncio.create_task(self._tick(), name="status"),
                asyncio.create_task(self._spool.run(self._kafka_away), name="spool"),
            ]
            stopping = asyncio.create_task(stop.wait(), name="stop")
            lifecycle.notify(READY="1", STATUS="started")
            _log.info("started", gateway=self._gateway, version=version("iot-edge-gateway"))
            done, _ = await asyncio.wait(
                [intake, forward, reloading, *helpers, stopping], return_when=asyncio.FIRST_COMPLETED
            )
            lifecycle.notify(STOPPING="1", STATUS="stopping: delivering what is held")
            await _end(reloading)
            await _end(intake)
            self._ingest.flush()
            await self._drain(forward)
            await _end(forward)
            await self._forward.finish()
            closing = self._close_behind(self._forward.sink)
            for task in [*helpers, stopping]:
                await _end(task)
            await self._spool.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_DEADLINE):
                    await self._ingest.close()
            await asyncio.wait([closing], timeout=0 if self._kafka_away() else CLOSE_DEADLINE)
            await self._control.close()
        report = self._report()
        _log.info("stopped", gateway=self._gateway, ledger=report["ledger"])
        for task in done - {stopping}:
            task.result()  # a part ended by itself: a defect, shown with its traceback, and systemd starts us again

    async def _reload(self) -> Outcome:
        """Read the configuration anew and go by it.

        Raises:
            ConfigError: it is refused, and nothing is changed.
        """
        setup, changes = await asyncio.to_thread(read_anew, self._path, self._home, self._setup)
        if not changes.keys:
            _log.info("configuration unchanged")
            return Outcome(True, UNCHANGED, [])
        config = setup.config
        sink = sink_of(config.kafka, self._gateway) if changes.sink else None
        before = self._forward.sink
        try:
            await self._metrics.move(config.metrics)
            await self._go_by(setup, changes, sink)
        except ConfigError as error:
            raise placed(self._path, error) from None
        finally:
            if sink is not None:
                self._close_behind(before if self._forward.sink is sink else sink)
        _log.info("configuration applied", **changes._asdict())
        return Outcome(True, f"applied: {changes.told()}", changes.keys)

    async def _go_by(self, setup: Setup, changes: Changes, sink: Sink | None) -> None:
        """Nothing in here is refused. Cancelled, as by a stop, it leaves parts that run() can end."""
        config = setup.config
        if changes.within("log"):
            await asyncio.to_thread(log.configure_anew, config.log, "gatewayd")
        self._clock.trust(trusted=config.clock.trusted)
        self._ingest.flush()
        self._ingest.settings = config.ingest
        self._spool.adopt(config.spool)
        await self._ingest.end([*changes.removed, *changes.reopened])
        self._ingest.follow(setup.specs, [*changes.added, *changes.reopened], changes.adjusted)
        self._status.config = config
        self._setup = setup._replace(specs=self._ingest.specs)
        self._captures.follow(self._ingest.specs, config.sources)
        self._said = None  # who came has not heard how the gateway is
        for sentence in registry.left_behind(self._home, config.sources) if changes.removed else ():
            _log.warning("session left behind", problem=sentence)
        if sink is not None:
            await self._delivery.redirect(config, sink)
        elif changes.records:
            self._forward.use(config)

    def _close_behind(self, sink: Sink) -> "asyncio.Task[None]":
        """Close it without waiting: a call to a Kafka that does not answer may take seconds to come back."""
        task = asyncio.create_task(sink.close(), name="close sink")
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sink not closed", problem=f"{type(error).__name__}: {error}")

    async def _drain(self, forward: "asyncio.Task[None]") -> None:
        """Wait until Kafka has what is held, but no longer than DRAIN_DEADLINE, and not while it is known to be away."""
        empty = asyncio.ensure_future(self._spool.empty())
        until = time.monotonic() + DRAIN_DEADLINE
        while not self._kafka_away() and time.monotonic() < until:
            done, _ = await asyncio.wait([forward, empty], timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
        await _end(empty)

    def _kafka_away(self) -> bool:
        return self._forward.sink.link.reachable is False

    def _report(self) -> dict[str, Any]:
        return self._status.report(self._forward, self._forward.sink)

    async def _tick(self) -> None:
        while True:
            self._status.tick()
            report = self._report()
            lifecycle.notify(STATUS=_line(report))
            if self._said != (state := (report["health"], report["reasons"])):
                self._ingest.announce(*state)
                self._said = state
            await asyncio.sleep(1)


def _line(report: dict[str, object]) -> str:
    reasons = report["reasons"]
    first = f": {reasons[0]}" if isinstance(reasons, list) and reasons else ""
    return f"{report['health']}{first}"


async def _end(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def serve(config: GatewayConfig, path: Path) -> None:
    """Make the daemon of the configuration at `path`, of which `config` was read, and run it until a signal.

    Raises:
        ConfigError, RivalError: see Daemon.
    """
    home = Home(gateway_id(config.gateway), state_dir(config.gateway) / "sources")
    setup = set_up(path, home)
    for sentence in registry.left_behind(home, setup.config.sources):
        _log.warning("session left behind", problem=sentence)
    async with lifecycle.stop_on_signals() as stop:
        with lifecycle.reload_on_signal(stop) as wanted:
            daemon = Daemon(path, setup, home, wanted)
            gc.freeze()  # what is here now stays: looking through it for garbage again and again would be for nothing
            await daemon.run(stop)
