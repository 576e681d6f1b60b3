"""Tries, in the sandbox of a service, what it should not be able to do: `confined.py` as an ExecStartPre= of it.

Writes what came of each attempt into probe.json in its state directory: the name of the error, else "allowed".
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

NEW_USER, NEW_NET = 0x10000000, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "allowed"


def writes(folder: str) -> str:
    path = Path(folder) / "probe"
    if (said := outcome(lambda: path.write_text("x"))) == "allowed":
        path.unlink()
    return said


def call(function: str, *arguments: object) -> str:
    said: int = getattr(libc, function)(*arguments)
    return "allowed" if said == 0 else errno.errorcode[ctypes.get_errno()]


def make_setuid() -> None:
    path = Path(os.environ["STATE_DIRECTORY"]) / "probe"
    path.touch()
    path.chmod(stat.S_ISUID | 0o755)


if __name__ == "__main__":
    state = os.environ["STATE_DIRECTORY"]
    own = {state, os.environ.get("RUNTIME_DIRECTORY", state), "/tmp"}  # noqa: S108 - its own one
    folders = (
        "/etc",
        "/etc/gateway",
        "/opt/gateway",
        "/usr/lib",
        "/var/lib",
        "/var/log",
        "/run",
        "/home",
        "/root",
    )
    found = {
        "own folders": sorted({writes(folder) for folder in own}),
        **{folder: writes(folder) for folder in folders},
        "of other users": sorted(
            number
            for number in (path.name for path in Path("/proc").iterdir() if path.name.isdigit())
            if outcome(Path("/proc", number, "cmdline").read_text) == "allowed"
            and Path("/proc", number).stat().st_uid != os.getuid()
        ),
        "homes": outcome(lambda: list(Path("/root").iterdir())),
        "temporary files of others": [path.name for path in Path("/tmp").iterdir()],  # noqa: S108 - its own one
        "a user namespace": call("unshare", NEW_USER),
        "a network namespace": call("unshare", NEW_NET),
        "a mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "the clock": outcome(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
        "a packet socket": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "a netlink socket": outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "writable code": outcome(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
        "a setuid file": outcome(make_setuid),
        "the name of the host": call("sethostname", b"x", 1),
    }
    (Path(state) / "probe").unlink(missing_ok=True)
    (Path(state) / "probe.json").write_text(json.dumps(found))
