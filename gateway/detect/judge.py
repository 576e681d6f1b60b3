"""What the service needs of the bank of one partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.detect.events import Said, type_of_grade
from gateway.wire import Arrival, Command


class Judge(Protocol):
    """The bank of one partition, as the service needs it.

    Deterministic: what it says depends only on the sequence of the readings, never on how that is cut. A reading that
    a restored row reflects already is skipped.
    """

    @property
    def counts(self) -> msgspec.Struct:
        """Integers by name, of what became of the readings."""
        ...

    @property
    def sensors(self) -> int:
        """Sensors remembered now."""
        ...

    @property
    def open(self) -> int:
        """Anomalies open now."""
        ...

    @property
    def open_by_grade(self) -> Mapping[type_of_grade, int]:
        """The same, by grade."""
        ...

    def judge(self, arrivals: Sequence[Arrival]) -> Sequence[Said]:
        """Judge these, which come after all that were judged before."""
        ...

    def advance(self, gateway: str, until: int, *, told: bool = False) -> Sequence[Said]:
        """All that this gateway had `received` up to then has been judged. `told`: it says so itself."""
        ...

    def silent(self, gateway: str) -> Sequence[Said]:
        """All is judged that came of this gateway, and nothing more is heard of it."""
        ...

    def command(self, command: Command) -> Sequence[Said]:
        """What a person said. It may come again."""
        ...

    def changed(self) -> Sequence[tuple[bytes, bytes]]:
        """Rows that advance() and command() changed, and those forgotten (an empty value), since the last call."""
        ...

    def snapshot(self, most: int) -> Sequence[tuple[bytes, bytes]]:
        """Up to `most` more rows that differ from the state topic, or are forgotten (an empty value); none: all are there."""
        ...

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a row from the state topic.

        Raises:
            StateError: see there.
        """
        ...


MakeBank = Callable[[], Judge]
