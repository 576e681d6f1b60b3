"""A bank for the tests of the service: cheap, and with a memory that tells of every reading missed, repeated or reordered.

As a program: `counting.py --config FILE` is gateway-detect with this bank.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.detect.config import load_detect
from gateway.detect.events import Said, type_of_grade
from gateway.detect.service import run
from gateway.detect.snapshot import StateError
from gateway.wire import VERSION, Anomaly, Arrival, Command, Value

EVERY: Final = 7
"""Of so many readings of a sensor one is spoken of."""

SILENT: Final = 30_000_000_000
"""Nanoseconds without a reading after which a sensor is silent."""

LAYOUT: Final = 1


class Counts(msgspec.Struct):
    """See gateway.detect.bank.Counts."""

    judged: int = 0
    skipped: int = 0
    raised: int = 0


class Row(msgspec.Struct):
    """One sensor.

    Attributes:
        offset: of its last reading.
        count: its readings.
        digest: over all its values, in order.
        heard: when its last reading was received.
        silent: whether that was said.
        acked: the anomalies that somebody acknowledged.
        gateway, device, sensor, spool: of its last reading.
        padding: makes it as large as a real one.
    """

    layout: int
    offset: int
    count: int
    digest: int
    heard: int
    silent: bool
    acked: list[str]
    gateway: str
    device: str
    sensor: str
    spool: str
    padding: bytes = b""


class CountingBank:
    """See share.Judge. Says something of every seventh reading of a sensor, with a digest of all that it has seen."""

    padding = b""

    def __init__(self) -> None:
        self.counts = Counts()
        self._rows: dict[bytes, Row] = {}
        self._dirty: dict[bytes, None] = {}
        self._changed: dict[bytes, None] = {}

    @property
    def sensors(self) -> int:
        return len(self._rows)

    @property
    def open(self) -> int:
        return sum(row.silent for row in self._rows.values())

    @property
    def open_by_grade(self) -> dict[type_of_grade, int]:
        return {"alarm": self.open}

    def judge(self, arrivals: Sequence[Arrival]) -> Sequence[Said]:
        said = []
        for offset, key, reading in arrivals:
            name = f"{reading.device}/{reading.sensor}".encode()
            row = self._rows.get(name)
            if row is None:
                row = self._rows[name] = Row(
                    LAYOUT,
                    -1,
                    0,
                    0,
                    0,
                    False,
                    [],
                    reading.gateway,
                    reading.device,
                    reading.sensor,
                    "",
                    self.padding,
                )
            elif offset <= row.offset:
                self.counts.skipped += 1
                continue
            self.counts.judged += 1
            row.offset, row.count, row.heard, row.silent = offset, row.count + 1, reading.received, False
            row.digest = zlib.crc32(repr(reading.value).encode(), row.digest)
            row.spool = reading.spool
            self._dirty[name] = None
            if row.count % EVERY == 0:
                said.append(
                    Said(offset, key, self._anomaly(row, "count", row.count, reading.value, reading.seq))
                )
        return said

    def advance(self, gateway: str, until: int, *, told: bool = False) -> Sequence[Said]:  # noqa: ARG002 - it says no more
        said = []
        for name, row in self._rows.items():
            if row.gateway == gateway and not row.silent and until - row.heard > SILENT:
                row.silent = True
                self._changed[name] = None
                said.append(Said(-1, None, self._anomaly(row, "silence", row.count, 0.0, 0)))
        return said

    def silent(self, gateway: str) -> Sequence[Said]:  # noqa: ARG002 - it knows no storms
        return []

    def command(self, command: Command) -> Sequence[Said]:
        for name, row in self._rows.items():
            said = [
                f"count-{row.device}-{row.sensor}-{count}" for count in range(EVERY, row.count + 1, EVERY)
            ]
            if command.id in said and command.id not in row.acked:
                row.acked.append(command.id)
                self._changed[name] = None
                return [Said(-1, None, self._acknowledged(row, command))]
        return []

    def changed(self) -> Sequence[tuple[bytes, bytes]]:
        names, self._changed = self._changed, {}
        return [self._pack(name) for name in names]

    def snapshot(self, most: int) -> Sequence[tuple[bytes, bytes]]:
        names = list(self._dirty)[:most]
        for name in names:
            del self._dirty[name]
        return [self._pack(name) for name in names]

    def restore(self, key: bytes, value: bytes) -> None:
        try:
            row = msgspec.msgpack.decode(value, type=Row)
        except msgspec.MsgspecError as error:
            raise StateError(f"damaged: {error}") from None
        if row.layout != LAYOUT:
            raise StateError(f"layout {row.layout}; this program knows {LAYOUT}")
        self._rows[key] = row

    def _pack(self, name: bytes) -> tuple[bytes, bytes]:
        return name, msgspec.msgpack.encode(self._rows[name])

    def _acknowledged(self, row: Row, command: Command) -> Anomaly:
        return msgspec.structs.replace(
            self._anomaly(row, "count", row.count, 0.0, 0), id=command.id, event="acknowledged"
        )

    def _anomaly(self, row: Row, rule: str, count: int, value: Value, seq: int) -> Anomaly:
        return Anomaly(
            VERSION,
            f"{rule}-{row.device}-{row.sensor}-{count}",
            "raised",
            rule,
            "advisory",
            row.gateway,
            row.device,
            row.sensor,
            value,
            f"{count} readings, digest {row.digest:08x}",
            0,
            row.heard,
            row.spool,
            seq,
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    path = parser.parse_args().config
    return run(load_detect(path), lambda _: CountingBank, path)


if __name__ == "__main__":
    sys.exit(main())
