"""Ten minutes without Kafka at 1,000 readings a second, in seconds: bounded on disk and in memory, then drained in order."""

from pathlib import Path

import pytest
from kafka import KafkaServer
from outage import seen, story

MINUTES = 10


@pytest.mark.timeout(240)
def test_an_outage_with_room_for_it_costs_nothing_and_little_memory_and_wear(
    tmp_path: Path, own_kafka: KafkaServer
) -> None:
    told = story(tmp_path / "spool", 60 * MINUTES, 256_000_000, own_kafka.bootstrap)

    assert told.held > 599_000
    assert told.memory_late - told.memory_early < 5
    assert told.disk_peak < 20 * told.held
    assert told.balanced
    found = seen(own_kafka)
    assert found == (told.made, 0, 0)
    assert told.live > 0
    print(f"drained {told.drained:,.0f}/s with {told.live} coming in, {told.memory_peak:.0f} MB at most")


@pytest.mark.timeout(120)
def test_an_outage_that_is_longer_than_the_disk_keeps_to_its_bound_and_counts_what_it_drops(
    tmp_path: Path,
) -> None:
    told = story(tmp_path / "spool", 60 * MINUTES, 8_000_000)

    assert told.disk_peak <= 8_000_000
    assert told.dropped > 0
    assert told.memory_late - told.memory_early < 5
    assert told.made == told.held + told.dropped
    assert told.balanced
