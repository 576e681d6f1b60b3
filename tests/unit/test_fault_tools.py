"""The tools of the laboratory that would make it blind if they missed: what they hurt, and what they leave alone."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import records
import stepped
from small_disk import fill
from spooled import frames
from spooling import batch_of

from gateway.spool.batch import Batch
from gateway.spool.format import Header, encode_frame, encode_header

COUNT = 3


def numbered(first: int) -> Batch:
    batch = batch_of(range(first, first + 10))
    batch.first, batch.last = first, first + 9
    return batch


def segment(folder: Path) -> Path:
    """A file of three frames of ten readings."""
    path = folder / "00000001.seg"
    header = encode_header(Header("0" * 16, "1" * 16, 1))
    path.write_bytes(header + b"".join(encode_frame([numbered(1 + 10 * n)])[1] for n in range(COUNT)))
    return path


def test_a_flipped_bit_costs_its_frame_and_no_other_wherever_it_is(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = segment(tmp_path)
    whole = path.read_bytes()
    for _ in range(100):
        path.write_bytes(whole)
        before = frames(tmp_path)
        assert len(before) == COUNT
        hit = chance.choice(before)
        at = records.flip(hit, chance)
        assert hit.frame.start <= at < hit.frame.end
        assert sum(a != b for a, b in zip(whole, path.read_bytes(), strict=True)) == 1
        assert frames(tmp_path) == [place for place in before if place != hit]


def test_a_torn_tail_hides_no_whole_frame(tmp_path: Path) -> None:
    path = segment(tmp_path)
    before = frames(tmp_path)
    with path.open("ab") as file:
        file.write(path.read_bytes()[before[0].frame.start : before[0].frame.end - 1])
    assert frames(tmp_path) == before


def test_no_disk_is_filled_that_others_use(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="others use"):
        fill(tmp_path / "filler")


def test_a_stepped_clock_steps_while_the_program_runs_and_leaves_monotonic_time_alone(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        "for line in sys.stdin:\n"
        "    wall = time.clock_gettime(time.CLOCK_REALTIME)\n"
        "    print(time.time() - wall, time.time_ns() / 1e9 - wall, time.monotonic(), *sys.argv[1:], flush=True)\n"
    )
    offset = tmp_path / "offset"
    stepped.set_offset(offset, 0)
    command = [sys.executable, "-P", stepped.__file__, str(offset), str(program), "argument"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        last = 0.0
        for step in (0.0, 7200.0, -90.0, 0.0):
            stepped.set_offset(offset, step)
            process.stdin.write("\n")
            process.stdin.flush()
            seconds, also, monotonic, argument = process.stdout.readline().split()
            assert float(seconds) == pytest.approx(step, abs=5)
            assert float(also) == pytest.approx(step, abs=5)
            assert 0 <= float(monotonic) - last < 60 or not last
            assert argument == "argument"
            last = float(monotonic)
        process.stdin.close()
