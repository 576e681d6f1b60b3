"""A partition's state survives a crash at any point: what is written in the end is what an undisturbed reader would have written."""

from collections.abc import Sequence

import counting
import msgspec
import pytest
from counting import EVERY, CountingBank
from hypothesis import given
from hypothesis import strategies as st
from one_partition import STEPS, Cluster, Step

from gateway.detect import share as share_module
from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig
from gateway.detect.restored import MARKER, VERSION, Mark
from gateway.wire import Anomaly, Arrival, Command, Reading

SECOND = 1_000_000_000


def arrivals(count: int, sensors: int = 3, spread: int = 1) -> list[Arrival]:
    """Of some sensors in turn, `spread` offsets apart as where transactions leave their marks."""
    return [
        Arrival(
            n * spread,
            b"pi-7/press",
            Reading(
                1,
                "pi-7",
                "spool",
                n + 1,
                "line",
                "press",
                f"s{n % sensors}",
                n * SECOND,
                n * SECOND,
                float(n),
            ),
        )
        for n in range(count)
    ]


def undisturbed(readings: Sequence[Arrival]) -> list[Anomaly]:
    return [said.anomaly for said in CountingBank().judge(readings)]


@given(steps=STEPS, spread=st.integers(1, 2), most=st.integers(1, 4), every=st.integers(1, 3))
def test_a_crash_at_any_point_changes_nothing_that_is_said(
    steps: list[Step], spread: int, most: int, every: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(share_module, "MOST_ROWS", most)
        patch.setattr(counting, "EVERY", every)
        cluster = Cluster(arrivals(60, spread=spread))
        cluster.play(steps)
        assert [one for one in cluster.said if one.rule == "count"] == undisturbed(cluster.readings)


def test_after_a_snapshot_nothing_is_read_again() -> None:
    cluster = Cluster(arrivals(40))
    share = cluster.share()
    cluster.poll(share, 33)
    cluster.commit(share)
    while not share.snapshot():
        cluster.commit(share)
    cluster.commit(share)

    successor = cluster.share()
    assert (successor.next, successor.live) == (33, True)
    assert successor.bank.sensors == 3


def test_without_a_snapshot_all_is_read_again_from_where_the_group_began_and_nothing_said() -> None:
    cluster = Cluster(arrivals(40))
    share = cluster.share()
    cluster.commit(share)  # the marker
    cluster.poll(share, 33)
    cluster.commit(share)

    successor = cluster.share()
    assert (successor.next, successor.live) == (0, False)
    assert successor.part() is None
    said = len(cluster.said)
    cluster.poll(successor, 33)
    cluster.commit(successor)
    assert successor.live
    assert len(cluster.said) == said == 33 // EVERY - 1


def test_a_group_that_begins_at_the_latest_says_nothing_of_what_was_before() -> None:
    cluster = Cluster(arrivals(40))
    share = cluster.share("latest")
    assert share.next == 40
    cluster.commit(share)
    cluster.readings = arrivals(80)
    successor = cluster.share("latest")
    assert successor.next == 40


def test_readings_that_are_gone_before_they_could_be_read_again_are_said_and_passed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = Cluster(arrivals(60))
    share = cluster.share()
    cluster.poll(share, 20)
    cluster.commit(share)
    cluster.low = 30

    successor = cluster.share()
    assert successor.next == 30
    assert "readings are gone" in "".join(capsys.readouterr())  # whoever configured the log before
    cluster.poll(successor, 30)
    cluster.commit(successor)
    assert cluster.committed == 60


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one() -> None:
    cluster = Cluster(arrivals(60))
    share = cluster.share()
    cluster.poll(share, 60)
    while not share.snapshot():
        pass
    cluster.commit(share)
    cluster.readings, cluster.committed, cluster.said = arrivals(30), None, []

    successor = cluster.share()
    assert (successor.next, successor.bank.sensors) == (0, 0)
    cluster.commit(successor)
    assert set(cluster.rows) == {MARKER}
    cluster.poll(successor, 30)
    cluster.commit(successor)
    assert cluster.said == undisturbed(cluster.readings)


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x00", b"not msgpack", msgspec.msgpack.encode({"layout": 9})],
    ids=["none", "a", "b", "c"],
)
def test_a_row_that_cannot_be_used_costs_its_sensor_only(
    damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(arrivals(60))
    share = cluster.share()
    cluster.poll(share, 60)
    while not share.snapshot():
        pass
    cluster.commit(share)
    broken = next(key for key in cluster.rows if key != MARKER)
    cluster.rows[broken] = damage

    successor = cluster.share()
    assert successor.unusable == 1
    assert successor.bank.sensors == 2
    assert "".join(capsys.readouterr()).count("state of a sensor cannot be used") == 1


GONE = "state is gone"


def test_a_state_that_is_gone_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster(arrivals(60))
    share = cluster.share()
    cluster.poll(share, 30)
    cluster.commit(share)
    cluster.rows = {b"\0gateway-silence\0odd/name": b"{}"}

    successor = cluster.share()
    assert (successor.next, successor.bank.sensors) == (30, 0)
    assert "".join(capsys.readouterr()).count(GONE) == 1
    cluster.commit(successor)
    cluster.share()
    assert GONE not in "".join(capsys.readouterr())


def test_a_state_that_was_never_there_is_not_gone(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster([])
    cluster.share()
    cluster.committed = 0
    cluster.share()
    cluster.readings = arrivals(60)
    cluster.commit(cluster.share())
    cluster.share()
    assert GONE not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "key",
    [
        b"junk",
        b"\xc1",
        msgspec.msgpack.encode(("sensor", b"k", "a\nb", "c")),
        msgspec.msgpack.encode(("sensor", 5, "a", "c")),
        msgspec.msgpack.encode(("gateway", 5)),
        b"\0gateway-silence\0",
    ],
)
def test_a_record_that_is_no_row_is_told_as_such_once_and_deleted(
    key: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(arrivals(60), lambda: Bank(DetectConfig()))
    share = cluster.share()
    cluster.poll(share, 60)
    cluster.snapshot(share, 9)
    kept = dict(cluster.rows)
    cluster.rows[key] = b"junk"

    successor = cluster.share()
    told = "".join(capsys.readouterr())
    assert told.count("records of the state topic are of no sensor") == 1
    assert "learnt anew" not in told
    assert (successor.unusable, successor.bank.sensors) == (0, 3)
    cluster.commit(successor)
    assert cluster.rows == kept


@pytest.mark.parametrize("mark", [b"{", msgspec.json.encode(Mark(VERSION + 1, 7))], ids=["damaged", "newer"])
def test_a_marker_that_cannot_be_used_costs_what_was_not_in_a_row(mark: bytes) -> None:
    cluster = Cluster(arrivals(60))
    share = cluster.share()
    cluster.poll(share, 30)
    cluster.commit(share)
    cluster.rows[MARKER] = mark

    assert cluster.share().next == 30


def test_silence_and_commands_are_written_with_the_rows_that_they_changed() -> None:
    """So that a crash behind it repeats neither."""
    readings = arrivals(32)
    for place in (30, 31):  # of the other two sensors nothing is heard for a long time
        reading = msgspec.structs.replace(readings[place].reading, sensor="s0", received=100 * SECOND)
        readings[place] = readings[place]._replace(reading=reading)
    cluster = Cluster(readings)

    def spoken() -> tuple[int, int]:
        return (
            sum(one.rule == "silence" for one in cluster.said),
            sum(one.event == "acknowledged" for one in cluster.said),
        )

    share = cluster.share()
    cluster.poll(share, 30)
    cluster.poll(share, 1)
    share.command([Command(1, f"count-press-s1-{EVERY}", "ack", "me", 0)])
    cluster.commit(share)
    assert spoken() == (2, 1)

    successor = cluster.share()
    assert not successor.live
    cluster.poll(successor, 31)
    cluster.poll(successor, 1)
    successor.command([Command(1, f"count-press-s1-{EVERY}", "ack", "me", 0)])
    cluster.commit(successor)
    assert spoken() == (2, 1)
