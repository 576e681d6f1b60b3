"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from devices.files import replace


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.x"
    replace(path, b"one")
    replace(path, b"2")
    assert path.read_bytes() == b"2"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_there_stays_if_the_disk_does_not_take_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace(path, b"one")

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace(path, b"two")
    assert path.read_bytes() == b"one"


def test_content_and_then_name_are_made_durable_and_the_folder_that_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    rename, sync = Path.replace, os.fsync

    def note_rename(old: Path, new: Path) -> Path:
        steps.append("rename")
        return rename(old, new)

    def note_sync(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(Path, "replace", note_rename)
    monkeypatch.setattr(os, "fsync", note_sync)
    replace(tmp_path / "new" / "file", b"x")
    assert steps == ["file.new", "rename", "new", tmp_path.name]
