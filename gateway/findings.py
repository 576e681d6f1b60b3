"""What there is of a gateway in the topics, and what is wrong with it."""

import msgspec


class Gap(msgspec.Struct, frozen=True):
    """Numbers `first` to `last` of a start that are not there; a sequence is `epoch << 40 | number`."""

    spool: str
    epoch: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Place(msgspec.Struct, frozen=True):
    """A record that is not as it should be: where it lies, and which reading it is."""

    partition: int
    offset: int
    device: str
    spool: str
    seq: int


class Damage(msgspec.Struct, frozen=True):
    """A record that is none of ours, and why."""

    topic: str
    partition: int
    offset: int
    problem: str


class Findings(msgspec.Struct):
    """What there is of one gateway.

    Attributes:
        readings: different ones; devices: how many they are of; starts: of gatewayd that they are of.
        missing: numbers that nothing stands for; gaps: the first of them.
        expired: numbers that are not there and may have been removed by the topic's retention.
        repeated, out_of_order: readings; and where the first of them are. Order is that of a device in a partition.
        redelivered: readings that an MQTT broker had sent before, which is before they were numbered.
        dead_letters: payloads that could not be decoded; refused: readings that Kafka refused.
        replayed: those of them that were replayed; recovered: readings made of them.
        ledger: whether the gateway's position is in Kafka; dropped: what it says was given up, by reason.
    """

    readings: int = 0
    devices: int = 0
    starts: int = 0
    missing: int = 0
    gaps: list[Gap] = []
    expired: int = 0
    repeated: int = 0
    repeated_at: list[Place] = []
    out_of_order: int = 0
    out_of_order_at: list[Place] = []
    redelivered: int = 0
    dead_letters: int = 0
    refused: int = 0
    replayed: int = 0
    recovered: int = 0
    ledger: bool = False
    dropped: dict[str, int] = {}

    @property
    def unexplained(self) -> int:
        """How many are missing beyond those that the ledger says were given up."""
        return max(0, self.missing - sum(self.dropped.values()))

    @property
    def flawless(self) -> bool:
        """Nothing missing, repeated or out of order."""
        return not (self.missing or self.repeated or self.out_of_order)
