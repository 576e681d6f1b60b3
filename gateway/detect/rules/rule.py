"""What every rule can do."""

from collections.abc import Callable
from typing import Protocol

from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding
from gateway.detect.poll import Poll
from gateway.detect.state import Columns

Say = Callable[[Finding], None]


class Rule(Protocol):
    """Judges all sensors.

    Judges each reading first, and then learns from it; what it finds and learns depends on the readings alone, never on
    how they fall into polls.

    Attributes:
        slot: the place in a row of its state and of its open anomaly.
        name: as in the records.
        columns: its state, of which a snapshot is made.
        settings: what the configuration says for each sensor.
        learns: what is normal, so that it can be told; else an anomaly that is accepted stays open until the sensor is back.
    """

    @property
    def slot(self) -> str: ...  # noqa: D102 - see Attributes, as the next ones

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def columns(self) -> Columns: ...  # noqa: D102

    @property
    def settings(self) -> Columns: ...  # noqa: D102

    @property
    def learns(self) -> bool: ...  # noqa: D102

    def watch(self, row: int, device: str, sensor: str, config: DetectConfig) -> bool:
        """Take over the settings of a sensor; whether the rule judges it."""
        ...

    def judge(self, poll: Poll, say: Say) -> None:
        """Judge all readings of a poll, and raise their `ratio` to the score relative to what would make it speak."""
        ...

    def accept(self, row: int) -> str:
        """What the last anomaly of this sensor showed is normal from now on, and it is no longer open; the new normal in words."""
        ...

    def fault(self, row: int) -> str:
        """Forget what the last anomaly of this sensor taught, or will teach when it is cleared; in words, what that was."""
        ...

    def close(self, row: int) -> None:
        """The anomaly is no longer open, without having taught anything."""
        ...
