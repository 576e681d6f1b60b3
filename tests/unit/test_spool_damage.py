"""Damage and disks in trouble: what they cost, and that the spool goes on by itself."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from spooling import Listener, Rig, batch_of, scene, values
from structlog.testing import capture_logs
from waiting import until

from gateway.config import ConfigError
from gateway.config import Spool as Settings
from gateway.ledger import Ledger
from gateway.spool import open_spool, trouble
from gateway.spool.disk import Disk
from gateway.spool.format import HEADER_SIZE
from gateway.testing_fs import FaultFiles, failing, read_only


def filled(frames: int = 5) -> dict[str, bytes]:
    """A folder with some frames of ten readings in one segment; the position is before them."""
    files = FaultFiles()
    disk = Disk(files, 100_000, drop_oldest=False)
    at = (disk.epoch << 40) + 1
    for n in range(frames):
        batch = batch_of(range(n * 10, n * 10 + 10))
        at = batch.number(at)
        disk.append([batch], 0, 0)
    return files.contents()


def everything(disk: Disk) -> list[int]:
    found = []
    while batches := disk.read(10**6, disk.position):
        found += values(batches)
    return found


def test_a_flipped_byte_anywhere_costs_at_most_its_frame_which_is_quarantined_and_counted() -> None:
    contents = filled()
    for name, data in contents.items():
        for at in range(len(data)):
            files = FaultFiles(contents)
            files.flip(name, at)
            with capture_logs():
                disk = Disk(files, 100_000, drop_oldest=False)
                found = everything(disk)
            lost = [n for n in range(5) if n * 10 not in found]
            assert found == [n for n in range(50) if n // 10 not in lost]
            assert disk.epoch == 2, "an epoch must not come back"
            side_files = [file for file in files.names() if file.startswith("quarantine/")]
            assert len(lost) <= 1
            assert len(lost) == disk.quarantine.frames == len(side_files)
            if side_files:
                assert files.contents()[side_files[0]] in bytes(
                    data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
                )


def test_a_byte_that_flips_while_the_daemon_runs_is_counted_by_source() -> None:
    async def play() -> None:
        rig = Rig(FaultFiles(filled()))
        rig.files.flip("00000001.seg", 500)
        with capture_logs() as logs:
            found = await rig.drain()

        assert len(found) == 40
        assert rig.line.dropped == {"damaged": 10}
        assert rig.balanced
        assert rig.spool.depth().quarantined == 1
        assert [entry["event"] for entry in logs] == ["spool frame damaged"]

    scene(play)


def test_quarantine_is_bounded_and_keeps_the_newest() -> None:
    files = FaultFiles(filled(100))
    size = len(files.contents()["00000001.seg"])
    for at in range(200, size, 700):
        files.flip("00000001.seg", at)
    with capture_logs():
        disk = Disk(files, 16_000, drop_oldest=False)

    assert disk.quarantine.frames > 5
    held = [len(data) for name, data in files.contents().items() if name.startswith("quarantine/")]
    assert 0 < sum(held) == disk.quarantine.size <= 1000


def test_a_lost_cursor_costs_neither_data_nor_the_id_and_no_epoch_comes_back() -> None:
    contents = filled()
    before = Disk(FaultFiles(contents), 100_000, drop_oldest=False)
    del contents["cursor"]
    with capture_logs() as logs:
        disk = Disk(FaultFiles(contents), 100_000, drop_oldest=False)

    assert everything(disk) == list(range(50))
    assert disk.id == before.id
    assert disk.epoch > 1000
    assert len(disk.runs) == 2
    assert [entry["event"] for entry in logs] == ["spool cursor lost"]


def test_a_missing_segment_costs_what_it_held() -> None:
    files = FaultFiles()
    disk = Disk(files, 8_000, drop_oldest=False)
    at = (disk.epoch << 40) + 1
    for n in range(6):
        batch = batch_of(range(n * 100, n * 100 + 100))
        at = batch.number(at)
        disk.append([batch], 0, 0)
    first, second, third = sorted(name for name in files.names() if name != "cursor")[:3]
    contents = files.contents()
    del contents[second]
    found = everything(Disk(FaultFiles(contents), 8_000, drop_oldest=False))

    assert found == sorted(found)
    assert {0, 599} <= set(found)
    assert 0 < len(found) < 600
    assert first != third


def test_a_failed_sync_is_never_repeated_on_its_descriptor_and_loses_nothing() -> None:
    async def play() -> None:
        rig = Rig()
        rig.append(range(10))
        await rig.spill()
        rig.append(range(10, 20))
        rig.files.hook = failing("datasync", errno.EIO)
        with capture_logs() as logs:
            await rig.spill()
            assert rig.spool.depth().trouble == os.strerror(errno.EIO)
            assert rig.spool.depth().in_memory == {"line": 10}
            assert rig.balanced
            await rig.spill()

        assert "write 00000002.seg" in rig.files.trace
        assert [entry["event"] for entry in logs] == ["spool disk in trouble", "spool disk works again"]
        assert rig.spool.depth().trouble == ""
        for state in rig.files.crash_states(64):
            again = Rig(FaultFiles(state))
            assert await again.drain() == list(range(20))
            assert again.balanced

    scene(play)


def test_a_full_disk_is_survived_in_memory_said_once_and_left_behind_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trouble, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(trouble, "LONGEST_PAUSE", 0.005)

    async def play() -> None:
        rig = Rig(spill_after=0)
        rig.files.room = 8192 + 300
        task = asyncio.create_task(rig.spool.run(lambda: True))
        with capture_logs() as logs:
            for n in range(30):
                rig.append(range(n * 10, n * 10 + 10))
            await until(lambda: rig.spool.depth().trouble, "the trouble to be noticed")
            await asyncio.sleep(0.05)
            assert rig.balanced
            rig.files.room = None
            await until(lambda: not rig.spool.depth().in_memory, "the disk to be used again")
        task.cancel()
        await asyncio.wait([task])

        events = [entry["event"] for entry in logs]
        assert events == ["spool disk in trouble", "spool disk works again"]
        assert rig.spool.depth().trouble == ""
        assert await Rig(FaultFiles(rig.files.contents())).drain() == list(range(300))

    scene(play)


def test_trouble_ends_by_itself_even_if_nothing_is_left_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "FIRST_PAUSE", 0.001)

    async def play() -> None:
        rig = Rig()
        rig.append([1])
        rig.files.hook = failing("write", errno.ENOSPC)
        with capture_logs():
            await rig.spill()
            await rig.drain()
            assert rig.spool.depth().trouble
            task = asyncio.create_task(rig.spool.run(lambda: False))
            await until(lambda: not rig.spool.depth().trouble, "the disk to be looked at again")
        task.cancel()
        await asyncio.wait([task])
        assert rig.files.names() == ["cursor"]

    scene(play)


def test_a_disk_that_the_spool_itself_has_filled_is_freed_once_kafka_has_what_is_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trouble, "FIRST_PAUSE", 0.001)

    async def play() -> None:
        rig = Rig()
        rig.files.room = 8192 + 80_000
        with capture_logs():
            for n in range(1000):
                rig.append(range(n * 100, n * 100 + 100))
                await rig.spill()
                if rig.spool.depth().trouble:
                    break
            assert await rig.drain() == list(range(n * 100 + 100))
            task = asyncio.create_task(rig.spool.run(lambda: False))
            await until(lambda: not rig.spool.depth().trouble, "the disk to be freed")
        task.cancel()
        await asyncio.wait([task])
        assert rig.files.names() == ["cursor"]
        assert rig.balanced

    scene(play)


def test_a_read_only_disk_is_delivered_from_under_an_id_that_nobody_else_has() -> None:
    async def play() -> None:
        contents = filled()
        before = Disk(FaultFiles(contents), 100_000, drop_oldest=False).id
        files = FaultFiles(contents)
        files.hook = read_only
        with capture_logs():
            rig = Rig(files)
            assert rig.spool.depth().trouble == os.strerror(errno.EROFS)
            assert rig.spool.id != before
            rig.append([50])
            assert await rig.drain() == list(range(51))
            assert rig.balanced
            await rig.spool.close()

    scene(play)


def test_a_disk_that_was_read_only_at_the_start_becomes_the_new_lineages_when_it_takes_writes() -> None:
    async def play() -> None:
        files = FaultFiles(filled())
        files.hook = read_only
        with capture_logs():
            rig = Rig(files)
            files.hook = lambda _, __: None
            rig.append(range(50, 60))
            await rig.spill()
        again = Rig(FaultFiles(next(iter(files.crash_states()))))

        assert again.spool.id == rig.spool.id
        assert await again.drain() == list(range(60))

    scene(play)


def test_a_folder_deleted_while_the_daemon_runs_is_noticed_before_anything_is_called_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trouble, "FIRST_PAUSE", 0.0)

    async def play() -> None:
        rig, source = Rig(), Listener()
        rig.append(range(10))
        await rig.spill()
        rig.files.vanish()
        rig.append(range(10, 20), source, "receipt")
        with capture_logs() as logs:
            await rig.spill()
            assert source.heard == []
            assert rig.spool.depth().trouble

            await rig.spool._body.tidy(0, 0.0)
            await rig.spill()
        assert source.heard == ["receipt"]
        assert [log["event"] for log in logs] == ["spool disk in trouble", "spool disk works again"]

        again = Rig(FaultFiles(next(iter(rig.files.crash_states()))))
        assert again.spool.id == rig.spool.id
        assert again.spool.epoch == rig.spool.epoch + 1
        assert await again.drain() == list(range(10, 20))
        found = await rig.drain()
        assert found[-10:] == list(range(10, 20))
        assert rig.line.dropped.get("damaged", 0) + len(found) == 20
        assert rig.balanced

    scene(play)


def test_what_the_disk_misread_once_stays_in_quarantine_though_it_reads_well_later() -> None:
    async def play() -> None:
        files = FaultFiles(filled())
        files.flip("00000001.seg", HEADER_SIZE)
        with capture_logs():
            rig = Rig(files)
        files.flip("00000001.seg", HEADER_SIZE)

        assert await rig.drain() == list(range(10, 50))
        assert rig.balanced

    scene(play)


def test_read_errors_are_tried_again_and_cost_only_what_stays_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.spool.body.READ_PAUSE", 0.001)

    async def play(times: int, lost: int) -> None:
        rig = Rig(FaultFiles(filled()))
        rig.files.hook = failing("read", errno.EIO, times=times, name=".seg")
        with capture_logs():
            found = await rig.drain()
        assert len(found) == 50 - lost
        assert rig.balanced

    scene(lambda: play(3, 0))
    scene(lambda: play(10**6, 50))  # one block holds them all


def test_a_second_daemon_is_refused_with_the_folder_in_the_message(tmp_path: Path) -> None:
    async def play() -> None:
        first = open_spool(tmp_path / "spool", Settings(), Ledger())
        with pytest.raises(ConfigError, match="another gatewayd uses"):
            open_spool(tmp_path / "spool", Settings(), Ledger())
        await first.close()
        await open_spool(tmp_path / "spool", Settings(), Ledger()).close()

    scene(play)


def test_a_folder_that_cannot_be_made_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="make it writable, or name another folder"):
        open_spool(tmp_path / "file" / "spool", Settings(), Ledger())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a quarter of a megabyte."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("mounting a tmpfs needs root")
        pytest.skip("mounting a tmpfs needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_real_full_disk_is_survived_and_used_again(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "LONGEST_PAUSE", 0.05)

    async def play() -> None:
        ledger = Ledger()
        spool = open_spool(small_disk / "spool", Settings(spill_after=0), ledger)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(200_000))
        task = asyncio.create_task(spool.run(lambda: True))
        with capture_logs():
            for n in range(200):
                ledger.source("line").made += 100
                spool.append(batch_of(range(n * 100, n * 100 + 100)))
                await asyncio.sleep(0)
            await until(lambda: spool.depth().trouble == os.strerror(errno.ENOSPC), "the full disk")
            filler.unlink()
            await until(lambda: not spool.depth().in_memory, "the room to be used")
        task.cancel()
        await asyncio.wait([task])
        await spool.close()

        again = open_spool(small_disk / "spool", Settings(), Ledger())
        found: list[int] = []
        while len(found) < 20_000:
            batches = await again.read(5000)
            found += values(batches)
            again.commit(batches[-1].last)
        assert found == list(range(20_000))
        await again.close()

    scene(play)
