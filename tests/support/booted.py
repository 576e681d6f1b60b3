"""A Debian that systemd has booted: a container with its own processes, on the network of this machine.

Its kernel is this machine's, so services reach what listens on loopback here. What a container cannot show, since the
kernel keeps it from containers, are MemoryMax= and DevicePolicy=.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from debian import Debian
from waiting import wait_until

CGROUPS: Final = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Where cgroups of version 2 are, beside those of version 1 or alone."""

PORT: Final = """
import os, shutil, sys, tty
here, there = os.openpty()
tty.setraw(there)
name = os.ttyname(there)
shutil.chown(name, "root", "dialout")
os.chmod(name, 0o660)
print(name, flush=True)
while data := os.read(0, 4096):
    os.write(here, data)
"""
"""A program that is a serial port, and sends what it is given."""

UP: Final = ("running\n", "degraded\n")


def unbootable() -> str:
    """What keeps a system from being booted here and the command that helps; empty: nothing."""
    if shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is missing: sudo apt-get install systemd-container"
    if not any((folder / "cgroup.controllers").exists() for folder in CGROUPS):
        return "there are no cgroups of version 2, which a booted system needs: boot this machine with them"
    return ""


class Booted(Debian):
    """A copy of a release in `folder`, which must not exist; runs within the context.

    At the end it is killed with all there is in it, as by a power cut.
    """

    def __init__(self, release: str, folder: Path) -> None:
        super().__init__(release, folder)
        # Nothing here fetches packages, on time or else.
        (folder / "etc/apt/apt.conf.d/offline").write_text('Acquire::http::Proxy "http://127.0.0.1:1";\n')
        self._console = folder.with_name(f"{folder.name}.console")
        base = next(one for one in CGROUPS if (one / "cgroup.controllers").exists())
        ours = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].split("\n")[0]
        self._cgroup = base / ours / f"booted-{os.getpid()}-{folder.parent.name}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        shutil.rmtree(self.root)

    def boot(self) -> None:
        """Start it; on return everything that is started at boot has been.

        Raises:
            AssertionError: it did not come up; the text holds the end of what its console said.
        """
        self._cgroup.mkdir()
        # In a cgroup of its own, so that two of them do not meet; it shuts down if whoever runs the tests is killed.
        enter = 'echo $$ >"$1/cgroup.procs" && shift && exec setpriv --pdeathsig TERM "$@"'
        options = ("--boot", "--register=no", "--keep-unit", "--console=read-only", "--quiet")
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", enter, "sh", self._cgroup, "systemd-nspawn", "-D", self.root, *options],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            wait_until(self._is_up, "a booted system", 60)
        except AssertionError as error:
            said = self._console.read_text(errors="replace")[-2000:]
            self.cut_power()
            raise AssertionError(f"{error}; its console says:\n{said}") from None

    def cut_power(self) -> None:
        """Kill all of it; on return nothing runs any more. Does nothing if it is not running."""
        if self._nspawn is None:
            return
        (self._cgroup / "cgroup.kill").write_text("1")
        self._nspawn.wait()
        self._nspawn, self._init = None, 0
        wait_until(lambda: not self._procs(), "the end of all processes in the container")
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            Path(folder).rmdir()

    def systemctl(self, *words: str) -> str:
        """Run it; it must succeed."""
        return self.run("systemctl", *words)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def pid(self, unit: str) -> int:
        """Of the main process of a service, as it is numbered in there; 0: none."""
        return int(self.show(unit, "MainPID"))

    def outer(self, unit: str) -> int:
        """The same as it is numbered on this machine."""
        inner = self.pid(unit)
        return next(number for number in self._procs() if _inside(number)[1:] == [inner])

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The entries that match, such as `EVENT=started`."""
        lines = self.run("journalctl", "--output=json", "--all", "--quiet", *matches).splitlines()
        return [json.loads(line) for line in lines]

    def programs(self) -> set[str]:
        """Names of all that runs."""
        found = set()
        for number in self._procs():
            with suppress(OSError):
                found.add(Path(f"/proc/{number}/comm").read_text().strip())
        return found

    @contextmanager
    def serial_line(self) -> Iterator[tuple[str, Callable[[bytes], None]]]:
        """The name of a port in there, with the owner and rights that udev gives, and what sends to who reads it."""
        words = self._words("root", "python3", "-c", PORT)
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        send = process.stdin

        def say(data: bytes) -> None:
            send.write(data)
            send.flush()

        try:
            yield process.stdout.readline().decode().strip(), say
        finally:
            send.close()
            process.wait(10)
            process.stdout.close()

    def write(self, path: str, text: str) -> None:
        """A file with the owner and rights of what is in /etc/gateway; not below /run or /tmp."""
        file = self.root / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.chown(file, 0, (self.root / "etc/gateway").stat().st_gid)
        file.chmod(0o640)

    def remove(self, path: str) -> None:
        """A file or a folder, if it is there."""
        there = self.root / path.removeprefix("/")
        if there.is_dir():
            shutil.rmtree(there)
        else:
            there.unlink(missing_ok=True)

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, "systemd-nspawn ended"
        # Not sooner: who enters a container that is being made meets this machine.
        self._init = self._init or next(filter(_is_init, self._procs()), 0)
        return self._init != 0 and self.run("systemctl", "is-system-running", check=False) in UP

    def _words(self, user: str, *command: str) -> list[str]:
        assert self._init, "it is not running"
        person = ("setpriv", "--reuid", user, "--regid", user, "--init-groups")
        return ["nsenter", "-t", str(self._init), "-a", *self.clean(), *person, *command]

    def _procs(self) -> list[int]:
        found: list[int] = []
        for folder, _, _ in os.walk(self._cgroup):
            with suppress(OSError):
                found += map(int, Path(folder, "cgroup.procs").read_text().split())
        return found


def _inside(number: int) -> list[int]:
    """The numbers of a process in all namespaces it is in, from this machine's on; none if it has ended."""
    with suppress(OSError):
        status = Path(f"/proc/{number}/status").read_text()
        found = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid"))
        return [int(one) for one in found]
    return []


def _is_init(number: int) -> bool:
    with suppress(OSError):
        return _inside(number)[1:] == [1] and Path(f"/proc/{number}/comm").read_text() == "systemd\n"
    return False
