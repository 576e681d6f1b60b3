"""How long a batch may wait for Kafka before it is written to disk."""

from collections import deque
from typing import Final, Literal

SHORTEST: Final = 1.0
"""Seconds that a batch waits at least, unless the configuration or a lack of room says otherwise: and how old batches
become while Kafka is away, since fewer and larger commits wear a card less."""

LONGEST: Final = 10.0
"""Seconds, whatever Kafka takes: what waits longer is better off on disk."""

HURRIED: Final = 0.1
"""Seconds that even a batch in a full MQTT window waits: a broker with a window of 20 would otherwise put every batch
on disk while Kafka is well."""


class Patience:
    """Remembers how long Kafka took, and says when to spill."""

    def __init__(self, spill_after: float | Literal["auto"]) -> None:
        self.fix(spill_after)
        self._recent: deque[float] = deque(maxlen=100)

    def fix(self, spill_after: float | Literal["auto"]) -> None:
        """As configured; what was learnt is kept."""
        self._fixed = None if spill_after == "auto" else spill_after

    def learn(self, seconds: float) -> None:
        """So long did Kafka take for a round. What an outage held up says nothing of what is usual."""
        if seconds <= LONGEST:
            self._recent.append(seconds)

    def seconds(self, *, kafka_away: bool, hurry: bool) -> float:
        """How old a batch may become in memory. `hurry`: a source waits for its acknowledgement."""
        usual = 3 * max(self._recent, default=0.0)  # of a hundred, the slowest is the 99th percentile
        patience = min(max(SHORTEST, usual), LONGEST) if self._fixed is None else self._fixed
        if kafka_away:
            patience = min(patience, SHORTEST)
        if hurry:
            patience = min(patience, max(HURRIED, min(usual, LONGEST)))
        return patience
