"""The spool as the daemon sees it: what is safe, when the disk is touched, and what restarts and bounds mean."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from spooling import Listener, Rig, batch_of, letter, scene, values
from structlog.testing import capture_logs
from waiting import until

from gateway.spool import Batch, spool
from gateway.spool.patience import Patience
from gateway.testing_fs import FaultFiles

HUNDRED = range(100)


async def running(rig: Rig, play: Callable[[], Awaitable[None]], *, away: bool = False) -> None:
    """Play while the spool's own task is at work."""
    task = asyncio.create_task(rig.spool.run(lambda: away))
    try:
        await play()
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


def test_nothing_is_written_while_kafka_answers_in_time() -> None:
    async def play() -> None:
        rig = Rig()
        at_start = rig.files.written

        async def good_times() -> None:
            for n in range(200):
                rig.append(range(n * 10, n * 10 + 10))
                assert await rig.drain() == list(range(n * 10, n * 10 + 10))
                await asyncio.sleep(0.001)

        await running(rig, good_times)
        assert rig.files.written == at_start
        assert rig.files.names() == ["cursor"]
        assert rig.balanced

    scene(play)


def test_what_kafka_does_not_take_in_time_is_fsynced_and_its_source_hears_safe() -> None:
    async def play() -> None:
        rig = Rig(spill_after=0.05)
        source = Listener()
        rig.append(HUNDRED, source, "receipt")

        async def outage() -> None:
            assert source.heard == []
            await until(lambda: source.heard, "safe")

        await running(rig, outage)
        assert source.heard == ["receipt"]
        assert rig.files.trace[-3:] == ["write 00000001.seg", "datasync 00000001.seg", "sync_dir"]
        depth = rig.spool.depth()
        assert (depth.spooled, depth.in_memory, depth.segments) == ({"line": 100}, {}, 1)
        assert rig.balanced
        assert await rig.drain() == list(HUNDRED)
        assert source.heard == ["receipt"]

    scene(play)


def test_a_batch_is_written_when_it_is_due_and_not_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "TICK", 3600.0)

    async def play() -> None:
        rig = Rig(spill_after=0.05)
        source = Listener()

        async def outage() -> None:
            await asyncio.sleep(0)  # the spool's task has looked, and seen nothing
            rig.append([1], source, "receipt")
            await until(lambda: source.heard, "safe")

        await running(rig, outage)

    scene(play)


def test_with_spill_after_zero_a_batch_is_written_at_once() -> None:
    async def play() -> None:
        rig = Rig(spill_after=0)
        source = Listener()

        async def one() -> None:
            rig.append([1], source, "receipt")
            await until(lambda: source.heard, "safe")

        await running(rig, one)
        assert rig.spool.depth().spooled == {"line": 1}

    scene(play)


def test_half_a_brokers_window_waiting_is_spilled_long_before_its_time() -> None:
    async def play() -> None:
        rig = Rig(spill_after=3600)
        source = Listener(window=20)
        for n in range(10):
            rig.append([n], source, n)

        async def stalled() -> None:
            await until(lambda: len(source.heard) == 10, "the broker's window to move")

        await running(rig, stalled)

    scene(play)


def test_memory_that_runs_short_is_spilled_at_once() -> None:
    async def play() -> None:
        rig = Rig(spill_after=3600, memory_bytes=100_000)
        for n in range(24):
            rig.append(range(n * 10, n * 10 + 10))

        async def crowd() -> None:
            await until(lambda: not rig.spool.depth().in_memory, "memory to be free")

        await running(rig, crowd)
        assert rig.line.dropped == {}

    scene(play)


def test_disk_comes_before_memory_and_order_holds_through_an_outage() -> None:
    async def play() -> None:
        rig = Rig()
        for n in range(5):
            rig.append(range(n * 10, n * 10 + 10))
            if n % 2:
                await rig.spill()
        rig.append(range(50, 60))

        assert await rig.drain(limit=15) == list(range(60))
        assert rig.balanced

    scene(play)


def test_a_batch_that_is_spilled_while_it_is_in_flight_is_delivered_once() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(10))
        rig.append(range(10, 20))
        in_flight = await rig.spool.read(10)
        await rig.spill()
        again = await rig.spool.read(10)
        rig.spool.commit(again[-1].last)

        assert values(in_flight) == values(again) == list(range(10))
        assert await rig.drain() == list(range(10, 20))
        assert rig.line.delivered == 20
        assert rig.balanced

    scene(play)


def test_a_commit_during_the_write_of_the_same_batches_is_counted_once() -> None:
    async def play() -> None:
        rig = Rig()
        for n in range(10):
            rig.append([n])
        taken = await rig.spool.read(5)
        spilling = asyncio.create_task(rig.spill())
        while not rig.spool._writing:  # noqa: ASYNC110 - the moment is inside
            await asyncio.sleep(0)
        rig.spool.commit(taken[-1].last)
        assert rig.balanced
        await spilling

        assert rig.balanced
        assert await rig.drain() == [5, 6, 7, 8, 9]
        assert rig.line.delivered == 10

    scene(play)


async def after_a_crash(rig: Rig, **settings: Any) -> Rig:
    """A new daemon on what a power cut leaves at the least."""
    state = next(iter(rig.files.crash_states()))
    return Rig(FaultFiles(state), **settings)


def test_a_crash_loop_without_kafka_does_not_make_a_run_a_stranger() -> None:
    async def play() -> None:
        rig = first = Rig()
        for _ in range(150):
            rig = Rig(FaultFiles(rig.files.contents()))

        assert rig.spool.knows(first.spool.run_id, first.spool.epoch)
        assert not rig.spool.knows("of another copy", rig.spool.epoch - 50)

    scene(play)


def test_without_its_cursor_a_folder_still_takes_an_earlier_run_for_its_own() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(10))
        await rig.spill()
        contents = {name: data for name, data in rig.files.contents().items() if name != "cursor"}
        with capture_logs():
            again = Rig(FaultFiles(contents))

        assert again.spool.id == rig.spool.id
        assert again.spool.knows("that never wrote a segment", rig.spool.epoch)

    scene(play)


def test_what_was_spilled_survives_a_crash_and_the_ledger_still_balances() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(10))
        await rig.spill()
        rig.append([10])
        again = await after_a_crash(rig)

        assert again.spool.id == rig.spool.id
        assert again.spool.run_id != rig.spool.run_id
        assert again.spool.knows(rig.spool.run_id, rig.spool.epoch)
        assert again.spool.knows(again.spool.run_id, again.spool.epoch)
        assert not again.spool.knows("of another copy", again.spool.epoch - 1)
        assert (again.line.made, again.balanced) == (10, True)
        again.append([11])
        batches = await again.spool.read(1000)
        assert values(batches) == [*range(10), 11]
        assert batches[0].first == (1 << 40) + 1
        assert batches[-1].first == (2 << 40) + 1
        again.spool.commit(batches[-1].last)
        assert (again.line.delivered, again.balanced) == (11, True)

    scene(play)


def test_an_epoch_is_never_used_twice_even_if_nothing_was_spilled() -> None:
    async def play() -> None:
        rig = Rig()
        seen = []
        for _ in range(4):
            rig.append([1])
            [batch] = await rig.spool.read(1)
            seen.append(batch.first)
            rig = await after_a_crash(rig)
        assert seen == [(epoch << 40) + 1 for epoch in (1, 2, 3, 4)]

    scene(play)


@pytest.mark.parametrize("through", [1, 15, 30, 37, 45, 60])
def test_kafkas_own_position_trims_what_is_on_disk_wherever_it_lies(through: int) -> None:
    async def play() -> None:
        rig = Rig()
        for n in range(6):
            rig.append(range(n * 10, n * 10 + 10))
            if n in {0, 2, 5}:
                await rig.spill()
        again = await after_a_crash(rig)
        again.spool.commit((1 << 40) + through)

        assert again.balanced
        assert await again.drain() == list(range(through, 60))
        assert (again.line.delivered, again.line.dropped, again.balanced) == (60, {}, True)
        assert again.spool.position == (1 << 40) + 60

    scene(play)


@pytest.mark.parametrize("through", [15, 60])
def test_a_trim_has_counted_everything_when_it_returns(through: int) -> None:
    async def play() -> None:
        rig = Rig()
        for n in range(6):
            rig.append(range(n * 10, n * 10 + 10))
            await rig.spill()
        again = await after_a_crash(rig)
        await again.spool.trim((1 << 40) + through)

        assert again.line.delivered == through
        assert again.spool.depth().spooled == ({"line": 60 - through} if through < 60 else {})
        assert again.spool._emptied.is_set() == (through == 60)

    scene(play)


def test_sources_that_can_wait_leave_half_of_the_disk_to_those_that_cannot() -> None:
    async def play() -> None:
        rig = Rig(disk_bytes=8_000)
        assert rig.spool.has_room()
        rig.append(range(1200))
        await rig.spill()
        assert rig.spool.depth().disk_size > 4_000
        assert not rig.spool.has_room()

    scene(play)


def test_after_an_ordered_stop_nothing_delivered_is_sent_again_and_the_rest_is_kept() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(10))
        rig.append(range(10, 20))
        await rig.spill()
        [*_] = batches = await rig.spool.read(10)
        rig.spool.commit(batches[-1].last)
        source = Listener()
        rig.append(range(20, 25), source, "late")
        await rig.spool.close()
        assert source.heard == ["late"]
        assert rig.balanced

        again = Rig(FaultFiles(rig.files.contents()))
        assert again.spool.position == batches[-1].last
        assert await again.drain() == list(range(10, 25))
        await again.spool.close()
        assert again.files.names() == ["cursor"]

    scene(play)


def test_a_new_lineage_has_another_id_for_good_and_keeps_what_is_held() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(5))
        await rig.spill()
        before = rig.spool.id
        await rig.spool.begin_lineage("a restored copy")
        rig.append(range(5, 8))
        await rig.spill()
        again = await after_a_crash(rig)

        assert before != rig.spool.id == again.spool.id
        assert await again.drain() == list(range(8))

    scene(play)


def test_drop_oldest_on_disk_drops_whole_segments_but_never_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.spool.body.AHEAD_BYTES", 100_000)  # in proportion to so small a disk

    async def play() -> None:
        rig = Rig(disk_bytes=12_000)
        rig.append(range(200))
        await rig.spill()
        in_flight = await rig.spool.read(200)
        for n in range(1, 60):
            rig.append(range(n * 200, n * 200 + 200))
            await rig.spill()
            depth = rig.spool.depth()
            assert depth.disk_size <= 12_000
            assert rig.balanced
        delivered = await rig.drain()

        assert delivered[:200] == values(in_flight)
        assert delivered == sorted(delivered)
        assert delivered[-1] == 60 * 200 - 1
        dropped = 60 * 200 - len(delivered)
        assert dropped > 0
        assert rig.line.dropped == {"drop-oldest": dropped}

    scene(play)


@pytest.mark.parametrize("when_full", ["drop-newest", "block"])
def test_the_other_policies_keep_the_oldest_when_disk_and_memory_are_full(when_full: str) -> None:
    async def play() -> None:
        rig = Rig(disk_bytes=40_000, memory_bytes=400 * 1000, when_full=when_full)
        for n in range(80):
            rig.append(range(n * 200, n * 200 + 200))
            await rig.spill()
        assert rig.balanced
        assert rig.spool.depth().trouble == ""
        delivered = await rig.drain()

        assert delivered == list(range(len(delivered)))
        assert rig.line.dropped == {when_full: 80 * 200 - len(delivered)}

    scene(play)


@pytest.mark.parametrize("when_full", ["drop-oldest", "drop-newest"])
def test_what_kafka_has_gives_its_room_on_a_full_disk_before_anything_is_dropped(when_full: str) -> None:
    async def play() -> None:
        rig = Rig(disk_bytes=40_000, when_full=when_full)
        made = 0
        while len(rig.spool.depth().spooled) == 0 or rig.spool.depth().disk_size < 34_000:
            rig.append(range(made, made + 500))
            made += 500
            await rig.spill()
        taken = await rig.spool.read(made // 2)
        rig.spool.commit(taken[-1].last)
        for _ in range(4):
            rig.append(range(made, made + 500))
            made += 500
            await rig.spill()

        depth = rig.spool.depth()
        assert (depth.in_memory, depth.disk_size <= 40_000) == ({}, True)
        assert rig.line.dropped == {}
        assert values(taken) + await rig.drain() == list(range(made))
        assert rig.balanced

    scene(play)


def test_a_disk_slower_than_the_batches_is_tidied_up_all_the_same() -> None:
    async def play() -> None:
        rig = Rig(spill_after=0, disk_bytes=40_000)
        loop = asyncio.get_running_loop()

        def next_one(operation: str, name: str) -> None:  # is due before the write of this one has ended
            if operation == "datasync" and name != "cursor" and rig.line.made < 40_000:
                loop.call_soon_threadsafe(take_over)

        def take_over() -> None:
            rig.spool.commit(rig.spool._next - 1)
            rig.append(range(rig.line.made, rig.line.made + 500))

        async def steady() -> None:
            rig.append(range(500))
            await until(lambda: rig.line.made >= 40_000, "all of them")

        rig.files.hook = next_one
        await running(rig, steady)
        first_gone = rig.files.trace.index("unlink 00000001.seg")
        assert "write 00000004.seg" not in rig.files.trace[:first_gone]

    scene(play)


def test_dead_letters_have_one_cap_over_memory_and_disk() -> None:
    async def play() -> None:
        rig = Rig(dead_letter_bytes=10_000)
        for _ in range(50):
            batch = Batch()
            batch.add_letter(letter())
            rig.spool.append(batch)
            await rig.spill()
        kept = rig.spool.depth().letters

        assert kept == 10_000 // (600 + 100)
        assert rig.line.dead_letters_dropped == 50 - kept
        again = await after_a_crash(rig)
        batches = await again.spool.read(1000)
        assert sum(len(batch.letters) for batch in batches) == kept

    scene(play)


def test_a_spilled_batch_larger_than_a_frame_comes_back_whole() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(5000))
        await rig.spill()
        again = await after_a_crash(rig)
        assert await again.drain() == list(range(5000))

    scene(play)


def test_a_slow_link_is_given_three_times_its_time_and_an_outage_a_second() -> None:
    patience = Patience("auto")
    assert patience.seconds(kafka_away=False, hurry=False) == 1.0
    for _ in range(50):
        patience.learn(0.5)
    assert patience.seconds(kafka_away=False, hurry=False) == 1.5
    assert patience.seconds(kafka_away=True, hurry=False) == 1.0
    patience.learn(7200.0)  # a round that an outage held up says nothing of what is usual
    assert patience.seconds(kafka_away=False, hurry=False) == 1.5
    assert patience.seconds(kafka_away=False, hurry=True) == 1.5
    assert Patience(0).seconds(kafka_away=False, hurry=True) == 0
    assert Patience(60.0).seconds(kafka_away=False, hurry=False) == 60
    assert Patience(60.0).seconds(kafka_away=True, hurry=False) == 1


def test_a_batch_dropped_in_memory_leaves_the_rest_spillable() -> None:
    async def play() -> None:
        rig = Rig(memory_bytes=400 * 20)
        mixed = batch_of(range(20))
        mixed.add_letter(letter(10))
        rig.line.made += 20
        rig.spool.append(mixed)
        rig.append(range(20, 40))
        await rig.spill()
        again = await after_a_crash(rig)
        batches = await again.spool.read(1000)

        assert values(batches) == list(range(20, 40))
        assert sum(len(batch.letters) for batch in batches) == 1
        again.spool.commit(batches[-1].last)
        await again.spool.close()
        assert again.files.names() == ["cursor"]

    scene(play)
