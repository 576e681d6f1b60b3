"""What the spool relies on, of the real file system and of the one in memory that fails on demand."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.spool.fs import Files, LocalFiles
from gateway.testing_fs import FaultFiles


@pytest.fixture(params=["local", "fault"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    made: Files = FaultFiles() if request.param == "fault" else LocalFiles(tmp_path / "spool")
    yield made
    made.close()


def put(files: Files, name: str, data: bytes, offset: int = 0) -> None:
    file = files.open(name)
    file.write(data, offset)
    file.datasync()
    file.close()


def test_what_was_written_is_read_back_from_any_offset(files: Files) -> None:
    put(files, "a", b"hello world")

    assert files.read("a", 0, 11) == b"hello world"
    assert files.read("a", 6, 3) == b"wor"
    assert files.read("a", 6, 100) == b"world"
    assert files.read("a", 100, 5) == b""
    assert files.size("a") == 11


def test_a_write_replaces_only_what_it_covers(files: Files) -> None:
    put(files, "a", b"hello world")
    put(files, "a", b"J", 0)
    put(files, "a", b"!", 11)

    assert files.read("a", 0, 100) == b"Jello world!"


def test_a_write_beyond_the_end_leaves_zeros_between(files: Files) -> None:
    put(files, "a", b"x", 3)

    assert files.read("a", 0, 100) == b"\0\0\0x"


def test_opening_makes_an_empty_file_and_leaves_one_that_is_there_alone(files: Files) -> None:
    files.open("a").close()
    assert files.size("a") == 0

    put(files, "a", b"x")
    files.open("a").close()
    assert files.read("a", 0, 1) == b"x"


def test_names_are_those_of_the_folder_and_of_the_quarantine(files: Files) -> None:
    assert files.names() == []
    put(files, "a", b"x")
    put(files, "quarantine/b", b"y")
    files.sync_dir()

    assert sorted(files.names()) == ["a", "quarantine/b"]
    assert files.read("quarantine/b", 0, 1) == b"y"


def test_what_was_cut_off_or_removed_is_gone(files: Files) -> None:
    put(files, "a", b"hello")
    put(files, "b", b"x")
    files.truncate("a", 2)
    files.unlink("b")
    files.sync_dir()

    assert files.read("a", 0, 100) == b"he"
    assert files.names() == ["a"]


def test_a_missing_file_is_an_error_of_its_own_kind(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        files.read("a", 0, 1)
    with pytest.raises(FileNotFoundError):
        files.unlink("a")
    with pytest.raises(FileNotFoundError):
        files.size("a")


def test_what_goes_into_a_deleted_folder_is_not_durable_and_the_folder_can_be_made_again(
    files: Files,
) -> None:
    put(files, "a", b"hello")
    file = files.open("a")
    if isinstance(files, LocalFiles):
        shutil.rmtree(files._folder)
    else:
        assert isinstance(files, FaultFiles)
        files.vanish()

    file.write(b"J", 0)
    with pytest.raises(FileNotFoundError):
        file.datasync()
    file.close()
    with pytest.raises(FileNotFoundError):
        files.open("b")
    assert files.restore()
    assert files.names() == []
    put(files, "b", b"x")
    assert not files.restore()
    assert files.read("b", 0, 1) == b"x"


def test_what_goes_into_a_deleted_file_is_not_durable(files: Files) -> None:
    file = files.open("a")
    files.unlink("a")

    file.write(b"x", 0)
    with pytest.raises(FileNotFoundError):
        file.datasync()
    file.close()


def test_a_folder_that_was_moved_away_is_not_ours_any_more(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "spool")
    file = files.open("a")
    (tmp_path / "spool").rename(tmp_path / "elsewhere")

    file.write(b"x", 0)
    with pytest.raises(FileNotFoundError):
        file.datasync()
    file.close()
    assert files.restore()
    put(files, "a", b"y")
    with pytest.raises(BlockingIOError):
        LocalFiles(tmp_path / "spool")
    files.close()


def test_a_quarantine_that_somebody_removed_keeps_no_segment_from_being_durable(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "spool")
    (tmp_path / "spool" / "quarantine").rmdir()

    put(files, "a", b"hello")
    files.sync_dir()

    assert files.read("a", 0, 5) == b"hello"
    files.close()


def test_a_folder_in_use_is_refused_to_a_second_daemon_and_free_when_the_first_is_gone(
    tmp_path: Path,
) -> None:
    first = LocalFiles(tmp_path)
    with pytest.raises(BlockingIOError):
        LocalFiles(tmp_path)
    first.close()
    LocalFiles(tmp_path).close()


def test_the_states_of_a_power_cut_are_those_between_the_last_sync_and_now() -> None:
    files = FaultFiles()
    put(files, "a", b"aaaa")
    assert {tuple(state) for state in files.crash_states()} == {(), ("a",)}  # the name is not durable yet
    files.sync_dir()
    file = files.open("a")
    file.write(b"bbbb", 0)
    file.write(b"c", 5)

    found = {state["a"] for state in files.crash_states(sector=2)}
    assert found == {b"aaaa", b"bbbb", b"bbaa", b"aabb", b"bb\0\0", b"aaaa\0c", b"bbbb\0c"}
    file.datasync()
    assert [state["a"] for state in files.crash_states()] == [b"bbbb\0c"]
