"""The spool on the disk that holds the temporary files: how fast it takes and gives, what it writes, how soon it is back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from device import noise, written
from figures import Figure, say
from gatewayd import Bench
from outage import batch_of, payload_size, readings

from gateway.spool.batch import Batch
from gateway.spool.body import ROUND_BYTES
from gateway.spool.disk import EPOCH_BITS, Disk
from gateway.spool.fs import LocalFiles

CAPACITY: Final = 256_000_000
COMMITS: Final = 500
PER_COMMIT: Final = (100, 1000)
BULK: Final = 20
"""Batches in a commit where only the filling counts."""

DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")
"""Where root empties the cache of files."""


def spool(bench: Bench) -> list[Figure]:
    """Commits of a batch each, and reading them back."""
    figures = []
    others = noise(bench.folder)
    for count in PER_COMMIT:
        folder = bench.folder / f"spool-{count}"
        disk = Disk(LocalFiles(folder), CAPACITY, drop_oldest=True)
        batches = list(islice(_batches(disk, count), COMMITS))
        payload = COMMITS * count * payload_size(batches[0].readings)
        before, began = written(folder), time.perf_counter()
        for batch in batches:
            disk.append([batch], 0, 0)
        took = time.perf_counter() - began
        wear = written(folder) - before
        began = time.perf_counter()
        _read_all(disk)
        gave = time.perf_counter() - began
        disk.close()
        what = f"spool, commits of {count:,}"
        figures += [
            Figure(f"{what}: appended", COMMITS * count / took, "/s"),
            Figure(f"{what}: commits", COMMITS / took, "/s"),
            Figure(f"{what}: read back", COMMITS * count / gave, "/s"),
            Figure(f"{what}: bytes to the device per payload byte", wear / payload, ""),
            Figure(f"{what}: of these, by others (from a look before)", others * took / payload, ""),
        ]
    return figures


def recovery(bench: Bench) -> list[Figure]:
    """Opening a full spool, in a process of its own: as it is after kill -9, and as it is after a power cut."""
    folder = bench.folder / "recovery"
    disk = Disk(LocalFiles(folder), CAPACITY, drop_oldest=True)
    batches, full, held = _batches(disk, 1000), CAPACITY - 5_000_000, 0
    say("recovery: filling the spool")
    while disk.size < full:
        some = list(islice(batches, BULK))
        disk.append(some, 0, 0)
        held += sum(map(len, some))
    size = disk.size
    disk.close()
    what = f"recovery of {size / 1e6:.0f} MB ({held / 1e6:.1f} million readings)"
    figures = [Figure(f"{what}, cached", _open(folder, held), "s")]
    if os.access(DROP_CACHES, os.W_OK):
        os.sync()
        DROP_CACHES.write_text("3")
        figures.append(Figure(f"{what}, from the disk", _open(folder, held), "s"))
    return figures


def _batches(disk: Disk, count: int) -> Iterator[Batch]:
    """Numbered, one after the other."""
    source, place = readings(), (disk.epoch << EPOCH_BITS) + 1
    while True:
        batch = batch_of(list(islice(source, count)))
        place = batch.number(place)
        yield batch


def _read_all(disk: Disk) -> None:
    """As the forwarder does: round by round, deleting what is behind it."""
    while some := disk.read(ROUND_BYTES, 0):
        disk.retire(some[-1].last, all_of_it=False)


def _open(folder: Path, held: int) -> float:
    """Seconds that it takes to open the spool, which must hold so many readings."""
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    seconds, found = done.stdout.split()
    if int(found) != held:
        raise RuntimeError(f"{found} of {held} readings were found again")
    return float(seconds)


def main(folder: Path) -> None:
    """Open the spool in `folder`; print the seconds that took and the readings in it."""
    began = time.perf_counter()
    disk = Disk(LocalFiles(folder), CAPACITY, drop_oldest=True)
    print(time.perf_counter() - began, disk.unread.readings.total())
    disk.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
