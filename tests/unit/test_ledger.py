from gateway.ledger import Ledger


def test_a_reading_lost_between_two_places_shows() -> None:
    ledger = Ledger()
    line = ledger.source("line")
    line.received = line.decoded = 10
    line.made = 10
    ledger.delivered({"line": 6})

    assert ledger.snapshot({"line": 4}, {})["balanced"]
    assert not ledger.snapshot({"line": 3}, {})["balanced"]


def test_a_payload_that_became_nothing_shows() -> None:
    ledger = Ledger()
    line = ledger.source("line")
    line.received, line.decoded, line.ignored, line.dead_lettered = 10, 5, 3, 1

    assert not ledger.snapshot({}, {})["balanced"]


def test_drops_are_kept_by_reason() -> None:
    ledger = Ledger()
    ledger.source("line").made = 3
    ledger.dropped({"line": 2}, "drop-oldest")
    ledger.dropped({"line": 1}, "unsent at stop")

    found = ledger.snapshot({}, {})

    assert found["sources"]["line"]["readings"]["dropped"] == {"drop-oldest": 2, "unsent at stop": 1}
    assert found["balanced"]
