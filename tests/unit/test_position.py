import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import Ledger, SourceLedger
from gateway.position import METADATA_LIMIT, OTHERS, Position, position_of

counts = st.integers(0, 2**50)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=100)


@st.composite
def source_ledgers(draw: st.DrawFn) -> SourceLedger:
    dropped = draw(st.dictionaries(st.sampled_from(["drop-oldest", "drop-newest"]), st.integers(1, 10**9)))
    delivered, refused = draw(counts), draw(counts)
    return SourceLedger(
        received=draw(counts),
        decoded=draw(counts),
        ignored=draw(counts),
        dead_lettered=draw(counts),
        made=delivered + refused + sum(dropped.values()),
        delivered=delivered,
        refused=refused,
        dropped=dropped,
        dead_letters_dropped=draw(counts),
    )


def total(ledger: dict[str, SourceLedger]) -> SourceLedger:
    return sum(ledger.values(), SourceLedger())


@given(
    ledger=st.dictionaries(names, source_ledgers(), max_size=120),
    ended=st.booleans(),
    last=counts,
    stops=counts,
)
def test_any_ledger_fits_beside_an_offset_and_loses_no_count(
    *, ledger: dict[str, SourceLedger], ended: bool, last: int, stops: int
) -> None:
    position = Position("0" * 16, "f" * 16, 7, last, stops, ended, ledger)

    text = position.metadata()
    found = position_of(last, text)

    assert len(text.encode()) <= METADATA_LIMIT
    assert found is not None
    assert (found.spool, found.run, found.epoch, found.last) == (position.spool, position.run, 7, last)
    assert (found.unclean_stops, found.ended) == (stops, ended)
    assert total(dict(found.ledger)) == total(ledger)
    assert all(found.ledger[name] == ledger[name] for name in found.ledger if name != OTHERS)


def test_many_sources_cost_no_more_than_a_few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = 0

    class Counting:
        def encode(self, what: object) -> bytes:
            nonlocal encoded
            text = msgspec.json.encode(what)
            encoded += len(text)
            return text

    monkeypatch.setattr("gateway.position._ENCODER", Counting())
    ledger = {f"line-{n}": SourceLedger(received=n, decoded=n, made=n, delivered=n) for n in range(300)}

    Position("0" * 16, "f" * 16, 7, 1, 0, False, ledger).metadata()

    whole = len(msgspec.json.encode(ledger))
    assert encoded < 3 * whole


@given(st.text())
def test_text_of_somebody_else_is_no_position(text: str) -> None:
    assert position_of(1, text) is None


def test_a_ledger_goes_on_from_the_totals_of_the_runs_before() -> None:
    ledger = Ledger()
    ledger.source("line").made = 30  # found on disk at the start, of which Kafka has 10
    ledger.delivered({"line": 10})
    earlier = SourceLedger(received=100, decoded=100, made=95, delivered=90, dropped={"drop-oldest": 5})

    ledger.resume({"line": earlier, "gone": SourceLedger(received=1, ignored=1)})

    snapshot = ledger.snapshot({"line": 5}, {"line": 15})
    assert snapshot["balanced"]
    readings = snapshot["sources"]["line"]["readings"]
    assert (readings["made"], readings["delivered"]) == (115, 90)
    assert snapshot["sources"]["gone"]["payloads"]["received"] == 1
