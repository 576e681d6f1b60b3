"""The disk of the spool: its room, whether it keeps what is written, and how long that takes."""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.cli.doctor.finding import Finding, note, ok, problem, warning
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.user import READ, WRITE, User
from gateway.config import GatewayConfig
from gateway.spool.fs import File

TRIALS: Final = 8
ENOUGH_TIME: Final = 0.5
"""Seconds after which no further trial begins: a slow disk shows at once."""

BLOCK: Final = bytes(8192)
"""What a small commit of the spool writes."""

SLOW_MS: Final = 100.0
WORST_MS: Final = 1000.0
"""Milliseconds: a good card takes 2 to 30, and now and then 200."""

TIGHT: Final = 16_000_000
"""Bytes below which a disk counts as full: a few segments of the spool."""

FEW_INODES: Final = 1000

VOLATILE: Final = frozenset({"tmpfs", "ramfs", "overlay", "aufs"})
NOT_LOCAL: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "vfat", "exfat"})


class Mount(NamedTuple):
    """A file system: where it is, what kind, on what device, and whether it can only be read."""

    point: str
    kind: str
    device: str
    read_only: bool


def room(config: GatewayConfig, folder: Path, status: dict[str, Any] | None) -> Iterator[Finding]:
    """Space and inodes for what the spool may still grow to."""
    there = _existing(folder)
    found = os.statvfs(there)
    free, held = found.f_bavail * found.f_frsize, _held(folder, status)
    needed = max(0, config.spool.disk_bytes - held)
    figures = f"{_mb(free)} of {_mb(found.f_blocks * found.f_frsize)} are free, and the spool may take {_mb(needed)} more"
    if free < min(TIGHT, needed):
        yield problem(
            "disk full",
            str(there),
            f"{figures}: in an outage readings wait in memory only",
            f"make room: sudo du -xh --max-depth=2 {_mount_of(there)} | sort -h | tail; sudo journalctl --vacuum-size=100M",
        )
    elif free < needed:
        yield warning(
            "disk smaller than spool",
            str(there),
            figures,
            f"make room, or set spool.disk_bytes = {max(8_000_000, (free + held) * 4 // 5 // 1_000_000 * 1_000_000)}",
        )
    else:
        yield ok("spool", f"{_mb(free)} free, {_mb(needed)} needed")
    if found.f_files and found.f_favail < FEW_INODES:
        yield problem(
            "no inodes",
            str(there),
            f"{found.f_favail} of {found.f_files} inodes are free: no new file can be made",
            f"find the folder with very many small files: sudo du --inodes -x --max-depth=3 {_mount_of(there)} | sort -n | tail",
        )


def file_system(folder: Path, machine: Machine, user: User) -> Iterator[Finding]:
    """Whether it can be written, by the service too, and whether it outlives a power cut."""
    there = _existing(folder)
    mount = mount_of(there, machine)
    if mount.read_only or os.statvfs(there).f_flag & os.ST_RDONLY:
        yield problem(
            "disk read-only",
            str(there),
            f"the file system at {mount.point} ({mount.kind}) is mounted read-only",
            f"sudo dmesg | grep -i -e ext4 -e mmc tells why; then sudo mount -o remount,rw {mount.point}, or replace the card",
        )
    elif mount.kind in VOLATILE:
        yield warning(
            "disk forgets",
            str(there),
            f"the file system at {mount.point} is {mount.kind}: what waits for Kafka is lost when the power goes",
            "set gateway.state_dir to a folder on a disk or card (Raspberry Pi: raspi-config, Performance Options, Overlay File System: off)",
        )
    elif mount.kind in NOT_LOCAL:
        yield warning(
            "disk not suited",
            str(there),
            f"the file system at {mount.point} is {mount.kind}, which does not promise what the spool relies on",
            "set gateway.state_dir to a folder on a local disk with ext4, xfs, btrfs or f2fs",
        )
    with contextlib.suppress(OSError):
        if folder.is_dir() and not user.may(folder, READ | WRITE | 1):  # else the service makes it
            yield problem(
                "spool not writable",
                str(folder),
                f"user {user.name}, as which the service runs, may not write there",
                f"sudo chown -R {user.name}: {folder}",
            )


def fsync(
    folder: Path,
    user: User,
    open_file: Callable[[Path], File],
    now: Callable[[], float] = time.perf_counter,
) -> Iterator[Finding]:
    """How long it takes until something small is durable. Leaves nothing behind."""
    there = _existing(folder)
    try:
        file = open_file(there)
    except OSError as error:
        yield note(
            "disk not tried",
            str(there),
            f"how long a write takes could not be measured: {error.strerror}",
            f"sudo gatewayctl doctor, or as user {user.name}",
        )
        return
    try:
        took = fsync_times(file, now)
    except OSError as error:
        yield problem(
            "disk refuses writes",
            str(there),
            f"a small write failed: {error.strerror}",
            "sudo dmesg | tail tells why; make room, or replace the disk",
        )
        return
    finally:
        file.close()
    median, worst = statistics.median(took), max(took)
    figures = f"fsync took {median:.1f} ms in the median and {worst:.1f} ms at worst, of {len(took)}"
    if median > SLOW_MS or worst > WORST_MS:
        yield warning(
            "disk slow",
            str(there),
            f"{figures}; a good card takes 2 to 30 ms",
            "look for what else writes (sudo iotop -o), or replace the card by one of class A1/A2 or by an SSD",
        )
    else:
        yield ok("fsync", f"{median:.1f} ms median, {worst:.1f} ms worst")


def fsync_times(file: File, now: Callable[[], float]) -> list[float]:
    """Milliseconds of each of a few small writes.

    Raises:
        OSError: one failed.
    """
    took: list[float] = []
    began = now()
    while len(took) < TRIALS and now() - began < ENOUGH_TIME:
        start = now()
        file.write(BLOCK, len(took) * len(BLOCK))
        file.datasync()
        took.append((now() - start) * 1000)
    return took


class NamelessFile:
    """A gateway.spool.fs.File without a name, in a folder: the spool never sees it, and it goes with its descriptor."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes, offset: int) -> None:
        """See File."""
        if os.pwrite(self._file.fileno(), data, offset) < len(data):
            raise OSError(28, os.strerror(28))

    def datasync(self) -> None:
        """See File."""
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """See File."""
        self._file.close()


def mount_of(path: Path, machine: Machine) -> Mount:
    """The file system that holds `path`."""
    best = Mount("/", "", "", read_only=False)
    for line in machine.text("proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        words, more = fields.split(), rest.split()
        if len(words) < 6 or len(more) < 2:  # noqa: PLR2004 - proc(5)
            continue
        point = words[4].encode().decode("unicode_escape")  # a blank is \040
        if path.is_relative_to(point) and len(point) >= len(best.point):
            best = Mount(point, more[0], more[1], "ro" in words[5].split(",") or "ro" in more[-1].split(","))
    return best


def _mount_of(path: Path) -> str:
    return next(str(one) for one in (path, *path.parents) if one.is_mount())


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there and can be seen."""
    for one in (folder / "spool", folder, *folder.parents):
        with contextlib.suppress(OSError):
            if one.is_dir() and os.access(one, os.X_OK):
                return one
    return Path("/")


def _held(folder: Path, status: dict[str, Any] | None) -> int:
    """Bytes that the spool takes already."""
    if status:
        return int(status["spool"]["bytes"])
    with contextlib.suppress(OSError):
        return sum(one.stat().st_size for one in (folder / "spool").iterdir() if one.is_file())
    return 0


def _mb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"  # noqa: PLR2004
