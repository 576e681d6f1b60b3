# ruff: noqa: D102
"""The bank as it was: its state is in memory only."""

from collections.abc import Sequence

from gateway.detect.bank import Bank, Counts
from gateway.detect.config import DetectConfig
from gateway.detect.share import Said, StateError
from gateway.wire import Arrival, Command


class ForgetfulBank:
    """Judges, and keeps nothing over a restart."""

    def __init__(self, config: DetectConfig) -> None:
        self._bank = Bank(config)

    @property
    def counts(self) -> Counts:
        return self._bank.counts

    @property
    def sensors(self) -> int:
        return self._bank.sensors

    @property
    def open(self) -> int:
        return self._bank.open

    def judge(self, arrivals: Sequence[Arrival]) -> Sequence[Said]:
        return [
            Said(one.offset, key, anomaly)
            for one in arrivals
            for key, anomaly in self._bank.judge([(one.key, one.reading)])
        ]

    def advance(self, _gateway: str, _until: int) -> Sequence[Said]:
        return []

    def command(self, _command: Command) -> Sequence[Said]:
        return []

    def changed(self) -> Sequence[tuple[bytes, bytes]]:
        return []

    def snapshot(self, _most: int) -> Sequence[tuple[bytes, bytes]]:
        return []

    def restore(self, _key: bytes, _value: bytes) -> None:
        raise StateError("this bank keeps no state")
