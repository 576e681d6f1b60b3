"""The course of the demo: everything up, data flowing, everything down in order, every record counted."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from devices.simulator.faults import Truth
from gateway import wire
from gateway.cli.demo import configs
from gateway.cli.demo.line import SerialLine
from gateway.cli.demo.process import Process
from gateway.cli.demo.score import Report, Score
from gateway.cli.demo.trouble import DemoError
from gateway.cli.demo.view import View
from gateway.cli.stopping import StopRequest
from gateway.config import Kafka
from gateway.control import ControlError, ask
from gateway.kafka.embedded import EmbeddedKafka
from gateway.kafka.follow import Follower

START_DEADLINE: Final = 60.0
"""Seconds until all sources must be connected; a small board starts Python slowly."""

SETTLE_DEADLINE: Final = 15.0
"""Seconds for the detector to have read what was delivered, and for the last bytes to leave the serial line."""

_TRUTH: Final = msgspec.json.Decoder(Truth)

_ASK_EVERY: Final = 0.5


def perform(length: float | None, view: View, stop: StopRequest) -> Report:
    """Let the gateway run for `length` seconds of flowing data, or until stopped; then count. Leaves nothing behind.

    Raises:
        DemoError: a part of it failed.
        KeyboardInterrupt: stopped before any data flowed, or twice.
    """
    kafka = Kafka()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-demo-")))
        score = Score()
        view.say("starting an embedded Kafka (in memory, for this demo only), gatewayd and gateway-detect")
        cluster = stack.enter_context(
            EmbeddedKafka(
                kafka.readings_topic, kafka.anomalies_topic, kafka.dead_letters_topic, kafka.status_topic
            )
        )
        line = stack.enter_context(SerialLine(configs.LINE, configs.ON_THE_LINE, score.fault))
        files = configs.write(folder, cluster.bootstrap_servers, line.port)
        kafka = configs.kafka(cluster.bootstrap_servers)
        follower = Follower(kafka, [kafka.readings_topic, kafka.anomalies_topic], configs.GROUP)
        stack.enter_context(closing(follower))
        gatewayd = stack.enter_context(Process("gatewayd", "gateway.main", files.gateway, folder))
        detect = stack.enter_context(Process("gateway-detect", "gateway.detect.main", files.detect, folder))
        stack.callback(stop.refuse)  # what is entered last is left first
        show = _Show(view, score, follower, kafka, line, files, gatewayd, detect)
        show.start(stop)
        show.play(length, stop)
        return show.finish()


@dataclass
class _Show:
    """The running demo."""

    view: View
    score: Score
    follower: Follower
    kafka: Kafka
    line: SerialLine
    files: configs.Files
    gatewayd: Process
    detect: Process
    truth_read: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    next_status: float = 0.0

    def start(self, stop: StopRequest) -> None:
        """Wait until all sources are connected."""
        deadline = time.monotonic() + START_DEADLINE
        while not self._connected():
            if stop.made:
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                reasons = "; ".join(self.status.get("reasons", ["it does not answer"]))
                raise DemoError(
                    f"gatewayd did not get its sources connected in {START_DEADLINE:.0f} s: {reasons}"
                )
            self._check()
            time.sleep(0.02)

    def play(self, length: float | None, stop: StopRequest) -> None:
        """Let data flow."""
        self.view.say("data flows" + (f" for {length:g} s" if length else "; Ctrl-C ends it"))
        end = time.monotonic() + length if length else float("inf")
        while time.monotonic() < end and not stop.made:
            self._check()
            self.line.talk()
            self._take(0.05)
            if time.monotonic() >= self.next_status:
                self.next_status = time.monotonic() + _ASK_EVERY
                self._ask()
            self.view.show(self.status, self.score)

    def finish(self) -> Report:
        """Stop the programs in the order of the data, and count what each of them leaves."""
        self.view.say("stopping: gatewayd delivers what it holds, gateway-detect reads what was delivered")
        self._until(self.line.finish, "gatewayd did not read the serial line to its end")
        self.gatewayd.stop()
        self._until(self._all_judged, "gateway-detect did not read all that was delivered")
        self.detect.stop()
        self._until(lambda: not self.follower.behind(), "the embedded Kafka did not hand out all it has")
        ledger = _final_ledger(self.gatewayd.log)
        self.view.show({**self.status, "ledger": ledger}, self.score)
        return self.score.report(ledger)

    def _connected(self) -> bool:
        self._ask()
        return bool(self.status) and all(one["state"] == "connected" for one in self.status["sources"])

    def _ask(self) -> None:
        try:
            self.status = ask(self.files.socket, {"verb": "status"}, timeout=1.0)
        except ControlError:
            return  # not yet, or only slow: should it have died, _check says so

    def _check(self) -> None:
        self.gatewayd.check()
        self.detect.check()

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + SETTLE_DEADLINE
        while not condition():
            if time.monotonic() > deadline:
                raise DemoError(f"{otherwise} within {SETTLE_DEADLINE:.0f} s")
            self.detect.check()
            self._take(0.05)

    def _all_judged(self) -> bool:
        return not self.follower.group_behind(self.kafka.readings_topic)

    def _take(self, timeout: float) -> None:
        """Count what has come back from Kafka, and learn which faults were injected."""
        with self.files.truth.open("rb") as file:
            file.seek(self.truth_read)
            for text in file:
                if text.endswith(b"\n"):
                    self.truth_read += len(text)
                    self.score.fault(_TRUTH.decode(text))
        for record in self.follower.poll(timeout):
            if record.topic == self.kafka.readings_topic:
                wire.decode_reading(record.value)
                self.score.read_back += 1
            else:
                self.score.anomaly(wire.decode_anomaly(record.value))


def _final_ledger(log: Path) -> dict[str, Any]:
    """The ledger in the last event of gatewayd's log, `stopped`.

    Raises:
        DemoError: there is none.
    """
    for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "stopped":
            ledger: dict[str, Any] = event["ledger"]
            return ledger
    raise DemoError("gatewayd left no ledger in its log when it stopped")
