"""What the demo counts, and the verdict on it."""

from collections import deque
from typing import Any, Final

import msgspec

from devices.simulator.faults import Truth
from gateway.wire import Anomaly

GRACE: Final = 2_000_000_000
"""Nanoseconds after the end of a fault in which its anomaly may still begin: the way through the serial line."""

_REMEMBERED: Final = 100
"""Faults and anomalies kept for comparison and for the screen; a demo may run for days."""


class Injected(msgspec.Struct):
    """A fault that was injected, and the sentence of the anomaly that found it; empty: none has yet."""

    truth: Truth
    found_by: str = ""


class Report(msgspec.Struct, frozen=True):
    """What one run of the demo comes to. received = delivered + spooled + dead_lettered + dropped, if all is well.

    Attributes:
        received: readings that the sources made, and payloads that made none because they could not be decoded.
        delivered: readings that Kafka acknowledged.
        spooled: readings that were still held when gatewayd stopped.
        dead_lettered: payloads that could not be decoded, and readings that Kafka refused.
        dropped: readings given up because there was no room.
        anomalies_raised, faults_injected, faults_found: as named; a fault is found if an anomaly of its device and
            sensor began while it lasted.
        read_back: records counted in the readings topic itself.
        balanced: what gatewayd says of its ledger.
    """

    received: int
    delivered: int
    spooled: int
    dead_lettered: int
    dropped: int
    anomalies_raised: int
    faults_injected: int
    faults_found: int
    read_back: int
    balanced: bool

    def sentences(self) -> list[str]:
        """It for people."""
        rest = f"{self.spooled} still held, {self.dead_lettered} dead-lettered, {self.dropped} dropped"
        return [
            f"{self.received} readings received = {self.delivered} delivered + {rest}",
            f"{self.read_back} readings read back from Kafka",
            f"{self.anomalies_raised} anomalies raised, {self.faults_found} of {self.faults_injected} injected faults found",
        ]

    def problems(self) -> list[str]:
        """What is wrong with it, one sentence each; none: the demo has shown what it should."""
        accounted = self.delivered + self.spooled + self.dead_lettered + self.dropped
        wrong = {
            "gatewayd says that its ledger does not balance": not self.balanced,
            f"{self.received} were received, but {accounted} are accounted for": self.received != accounted,
            "nothing was delivered": not self.delivered,
            f"{self.delivered} were delivered, but {self.read_back} are in Kafka": self.delivered
            != self.read_back,
            "no fault was injected yet: let the demo run for 30 s or longer": not self.faults_injected,
            "none of the injected faults was found": self.faults_injected and not self.faults_found,
        }
        return [problem for problem, holds in wrong.items() if holds]


class Score:
    """Counts what comes back from Kafka and compares anomalies with the truth, whichever is heard of first."""

    def __init__(self) -> None:
        self.read_back = 0
        self.raised = 0
        self.injected = 0
        self.found = 0
        self.faults: deque[Injected] = deque(maxlen=_REMEMBERED)
        self.anomalies: deque[Anomaly] = deque(maxlen=_REMEMBERED)

    def fault(self, truth: Truth) -> None:
        """A fault was injected."""
        fault = Injected(truth)
        self.injected += 1
        self.faults.append(fault)
        for anomaly in self.anomalies:
            self._compare(fault, anomaly)

    def anomaly(self, anomaly: Anomaly) -> None:
        """The detector said something."""
        self.anomalies.append(anomaly)
        self.raised += anomaly.event == "raised"
        for fault in self.faults:
            self._compare(fault, anomaly)

    def _compare(self, fault: Injected, anomaly: Anomaly) -> None:
        truth = fault.truth
        if (
            not fault.found_by
            and anomaly.event == "raised"
            and (anomaly.device, anomaly.sensor) == (truth.device, truth.sensor)
            and truth.start <= anomaly.since <= truth.end + GRACE
        ):
            fault.found_by = anomaly.sentence
            self.found += 1

    def report(self, ledger: dict[str, Any]) -> Report:
        """The verdict, with the final ledger of gatewayd (see gateway.ledger.Ledger.snapshot)."""
        payloads = [source["payloads"] for source in ledger["sources"].values()]
        readings = [source["readings"] for source in ledger["sources"].values()]
        undecoded = sum(one["dead_lettered"] for one in payloads)
        return Report(
            received=sum(one["made"] for one in readings) + undecoded,
            delivered=sum(one["delivered"] for one in readings),
            spooled=sum(one["spooled"] + one["in_memory"] for one in readings),
            dead_lettered=sum(one["refused"] for one in readings) + undecoded,
            dropped=sum(sum(one["dropped"].values()) for one in readings),
            anomalies_raised=self.raised,
            faults_injected=self.injected,
            faults_found=self.found,
            read_back=self.read_back,
            balanced=ledger["balanced"],
        )
