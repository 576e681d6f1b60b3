"""The rules, one a file. Each judges the readings of all sensors at once, and knows of no other."""

from gateway.detect.rules.limits import Bound
from gateway.detect.rules.never_seen import NeverSeen
from gateway.detect.rules.rate import Rate
from gateway.detect.rules.rule import Rule
from gateway.detect.rules.silence import Silence
from gateway.detect.rules.spike import Spike
from gateway.detect.rules.spike_aggregate import SpikeAggregate
from gateway.detect.rules.stuck import Stuck


def all_rules(silence: Silence) -> tuple[Rule, ...]:
    """One of each, in the order in which they speak of a reading."""
    return (
        silence,
        Bound("high"),
        Bound("low"),
        Rate(),
        Stuck(),
        NeverSeen(),
        Spike(),
        SpikeAggregate(),
    )
