"""The rows of a recorded file as payloads of simulated devices, when they are due."""

from collections.abc import Callable, Iterator
from contextlib import closing

from devices.simulator.payloads import Payload, named_json
from devices.simulator.recording import PIECE, Recording, Row, Settings, Timeline, open_file

TOPIC = "replay"
"""What their MQTT topic ends with: a row's own names may be anything, and no topic takes that."""


class Rows:
    """Each row as one payload of JSON that names its device, at the time of its own. Read once.

    Args:
        settings: see there.
        on_reject: told of each row that cannot be read.

    Attributes:
        ended: all of it was said.

    Raises:
        OSError: the file cannot be read; due() raises it as well.
        SourceRefused: its first line names no columns.
    """

    def __init__(self, settings: Settings, on_reject: Callable[[Row], None]) -> None:
        self._settings = settings
        self._on_reject = on_reject
        self._timeline = Timeline(settings.speed)
        self._rows = self._read()
        self._next = next(self._rows, None)

    @property
    def ended(self) -> bool:  # noqa: D102 - see Attributes
        return self._next is None

    def due(self, now: int, most: int) -> list[Payload]:
        """What is said until before `now`, since the last call, in the order of the file.

        Once there are `most`, the rest is left for the next call.
        """
        said: list[Payload] = []
        while self._next is not None and len(said) < most:
            first = self._next.readings[0]
            due = self._timeline.due(first.time, now)
            if due > now:
                break
            values: dict[str, object] = {reading.sensor: reading.value for reading in self._next.readings}
            data = named_json(first.device, values, first.time)
            said.append(Payload(first.device, TOPIC, data, len(values), due))
            self._next = next(self._rows, None)
        return said

    def _read(self) -> Iterator[Row]:
        recording = Recording("replay", self._settings)
        with closing(open_file(self._settings.file)) as file:
            while data := file.read(PIECE):
                yield from self._good(recording.push(data))
            yield from self._good(recording.end())

    def _good(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            if row.reason:
                self._on_reject(row)
            else:
                yield row
