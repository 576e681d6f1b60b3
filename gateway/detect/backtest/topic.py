"""Recorded readings in the readings topic."""

import math
from collections.abc import Iterator
from itertools import groupby

from gateway.config import Kafka
from gateway.detect.backtest.recorded import CHUNK, Bad, Chunk, RefusedError
from gateway.kafka.readback import Arrival as Record
from gateway.kafka.readback import Readback, ReadbackError
from gateway.wire import Arrival, WireError, decode_reading


class ReadingsTopic:
    """What was written to the readings topic within a time. See Recorded. close() it.

    The time is that of the records: when Kafka got them. Each partition has its own bank, as in the service.
    """

    columns = ("gateway", "device", "sensor", "timestamp", "value")

    def __init__(self, kafka: Kafka, begin: int | None, end: int | None) -> None:
        """From `begin` to `end`, in milliseconds since 1970 UTC; None: from the first, to the last that there is.

        Raises:
            RefusedError: it cannot be read, or there is nothing.
        """
        self.name = f"{kafka.readings_topic} at {kafka.bootstrap_servers}"
        try:
            self._readback = Readback(kafka, [kafka.readings_topic], (begin, end))
        except ReadbackError as error:
            raise RefusedError(str(error)) from None
        self.total = self._readback.total
        if self.total <= 0:
            self.close()
            raise RefusedError(f"{self.name}: nothing was written in that time")

    def chunks(self, parts: int, *, cells: bool) -> Iterator[Chunk]:
        """See Recorded."""
        most = max(1, min(CHUNK, math.ceil(self.total / parts)))
        done = 0
        try:
            for lot in self._readback.lots():
                for partition, records in groupby(lot, lambda one: one[1]):
                    some = list(records)
                    for first in range(0, len(some), most):
                        done += len(some[first : first + most])
                        yield _chunk(partition, some[first : first + most], done, cells=cells)
        except ReadbackError as error:
            raise RefusedError(str(error)) from None

    def close(self) -> None:
        """Leave the cluster."""
        self._readback.close()


def _chunk(partition: int, records: list[Record], done: int, *, cells: bool) -> Chunk:
    chunk = Chunk(partition, [], len(records), [], [], [], done)
    for place, (_, _, offset, _, value) in enumerate(records):
        row = ("",) * len(ReadingsTopic.columns)
        try:
            one = decode_reading(value or b"")
        except WireError as error:
            chunk.bad.append(Bad(f"partition {partition} offset {offset}", str(error)))
        else:
            chunk.arrivals.append(Arrival(offset, f"{one.gateway}/{one.device}".encode(), one))
            chunk.places.append(place)
            row = one.gateway, one.device, one.sensor, str(one.time), str(one.value)
        if cells:
            chunk.cells.append(row)
    return chunk
