"""Each process of a group has a name of its own among those that live, and the same again after it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.detect.place import Place

HOLD = """
import sys
from pathlib import Path
from gateway.detect.place import Place
print(Place(Path(sys.argv[1]), "group").name, flush=True)
sys.stdin.read()
"""


def test_processes_that_live_at_once_have_different_names_and_a_killed_one_leaves_its_name_to_the_next(
    tmp_path: Path,
) -> None:
    names = []
    for _ in range(2):
        other = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with other:
            assert other.stdout is not None
            names.append(other.stdout.readline().strip())
            mine = Place(tmp_path, "group")
            names.append(mine.name)
            mine.leave()
            other.kill()

    assert names[:2] == names[2:]
    assert names[0] != names[1]
    assert all(name.startswith("group-") for name in names)


def test_groups_and_machines_do_not_share_names(tmp_path: Path) -> None:
    places = [Place(tmp_path / "a", "one"), Place(tmp_path / "a", "two"), Place(tmp_path / "b", "one")]
    assert len({place.name for place in places}) == 3
    for place in places:
        place.leave()


def test_a_name_that_a_crash_cut_off_is_drawn_anew(tmp_path: Path) -> None:
    (tmp_path / "group.0").write_bytes(b"ab")
    place = Place(tmp_path, "group")
    name = place.name
    place.leave()
    again = Place(tmp_path, "group")
    again.leave()

    assert again.name == name != "group-ab"


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state_dir: .*file.* cannot be written"):
        Place(tmp_path / "file" / "state", "group")
