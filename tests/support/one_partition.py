"""What Kafka keeps of one partition, as a model: for tests of what a crash leaves behind."""

from collections.abc import Callable, Sequence
from typing import Final

from counting import CountingBank
from hypothesis import strategies as st

from gateway.config import DetectKafka
from gateway.detect.judge import Judge
from gateway.detect.share import Share
from gateway.kafka.consumer import Polled
from gateway.kafka.outlet import Part
from gateway.kafka.state import Found
from gateway.wire import Anomaly, Arrival, decode_anomaly

KAFKA: Final = DetectKafka()

Step = tuple[str, int]
"""What happens, and to how many readings, or how many pieces of a snapshot."""

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("poll"), st.integers(1, 9)),
        st.tuples(st.just("poll, crash"), st.integers(1, 9)),
        st.tuples(st.just("snapshot"), st.integers(0, 9)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=40,
)


class Cluster:
    """Written whole or not at all.

    Attributes:
        readings: of the partition; low: where they begin.
        rows: of the state topic, the marker among them.
        committed: position of the group.
        said: the anomalies topic.
    """

    def __init__(self, readings: Sequence[Arrival], make_bank: Callable[[], Judge] = CountingBank) -> None:
        self._make_bank = make_bank
        self.readings = readings
        self.low = 0
        self.rows: dict[bytes, bytes] = {}
        self.committed: int | None = None
        self.said: list[Anomaly] = []

    @property
    def high(self) -> int:
        return self.readings[-1].offset + 1 if self.readings else 0

    def share(self, start: str = "earliest") -> Share:
        found = Found(dict(self.rows), self.committed, self.low, self.high)
        return Share(KAFKA, 0, self._make_bank(), found, "earliest" if start == "earliest" else "latest")

    def commit(self, share: Share) -> None:
        if (part := share.part()) is None:
            return
        self.write(part)
        share.settled()

    def write(self, part: Part) -> None:
        assert self.committed is None or part.offset >= self.committed, "set back"
        self.committed = part.offset
        self.said += [decode_anomaly(record.value) for record in part.said]
        for record in part.rows:
            assert record.topic == KAFKA.state_topic
            assert record.partition == 0
            if record.value:
                self.rows[record.key or b""] = record.value
            else:
                self.rows.pop(record.key or b"", None)

    def poll(self, share: Share, most: int) -> bool:
        """Judge the next few; whether there were any."""
        next_ones = [one for one in self.readings if one.offset >= max(share.next, self.low)][:most]
        if next_ones:
            share.judge(Polled(0, next_ones, next_ones[-1].offset + 1))
        return bool(next_ones)

    def play(self, steps: Sequence[Step]) -> None:
        """Let all this happen, and then the rest of the readings come."""
        share = self.share()
        for step, number in steps:
            if step == "snapshot" and share.live:
                if not self.snapshot(share, number):
                    share = self.share()
            elif step.startswith("poll"):
                self.poll(share, number)
                if step == "poll":
                    self.commit(share)
                else:
                    share = self.share()
            elif step == "crash":
                share = self.share()
        while self.poll(share, 7):
            self.commit(share)

    def snapshot(self, share: Share, most: int) -> bool:
        """Write so many pieces of one at most; whether that was all of it, the marker too."""
        for _ in range(most):
            complete = share.snapshot()
            self.commit(share)
            if complete:
                return True
        return False
