"""A small disk of its own for the gateway's state, that can be full without harm to anybody else."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 32 * 1024 * 1024
"""Size of the small disk: more than any outage of the laboratory writes."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own at `folder`, that can be full without harm to anybody else. Only root can; else nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder)
    try:
        yield
    finally:
        if mounted:
            _run("umount", "--lazy", folder)


def fill(filler: Path) -> None:
    """Let this file take all that is free on its disk, which must be a small one."""
    assert os.path.ismount(filler.parent), f"{filler.parent} is on a disk that others use"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(65_536)):
            pass


def _run(*command: object) -> bool:
    return subprocess.run([str(part) for part in command], check=False, capture_output=True).returncode == 0
