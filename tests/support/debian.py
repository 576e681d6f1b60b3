"""A Debian in a folder, in which packages are installed as on a machine, without booting it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def missing() -> str:
    """What keeps packages from being built and installed here, and what to do about it; empty: nothing."""
    if os.geteuid() != 0:
        return "only root can install packages: run the tests as root"
    for tool in ("dpkg-deb", "shellcheck"):
        if shutil.which(tool) is None:
            return f"{tool} is missing: sudo apt-get install dpkg shellcheck"
    for release in ("bookworm", "trixie"):
        if not _cached(release).is_dir():
            return f"Debian {release} is not here: tests/support/fetch_debian.sh {release}"
    return ""


def _cached(release: str) -> Path:
    return CHECKOUT / ".cache" / f"debian-{release}"


class Debian:
    """A copy of a release in `folder`, which must not exist."""

    def __init__(self, release: str, folder: Path) -> None:
        subprocess.run(["cp", "-a", _cached(release), folder], check=True)
        self.root = folder
        # The tests wait for no disk, and services are started by themselves.
        (folder / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n", encoding="utf-8")

    def run(self, *command: str, check: bool = True, user: str = "root") -> str:
        """Run it in there, without a terminal; returns what it says."""
        done = subprocess.run(
            self._words(user, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def install(self, deb: Path, *options: str) -> str:
        """What dpkg says to it."""
        return self.run("dpkg", *options, "--install", self.bring(deb))

    def bring(self, deb: Path) -> str:
        """Put a package there; returns its path in there."""
        shutil.copy(deb, self.root / "var/cache" / deb.name)
        return f"/var/cache/{deb.name}"

    @contextmanager
    def service(self, command: str, user: str, *variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run it as `user`, as systemd would; it is killed at the end."""
        process = subprocess.Popen(self._words(user, "env", *variables, command), stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def files(self) -> dict[str, str]:
        """Rights, owner and target of all there is, but what dpkg and apt keep of their own work, and copies of passwd."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            for path in (Path(folder, name) for name in (*folders, *names)):
                status, inside = path.lstat(), path.relative_to(self.root)
                target = str(path.readlink()) if path.is_symlink() else ""
                found[str(inside)] = f"{status.st_mode:o} {status.st_uid} {status.st_gid} {target}"
        own = ("var/lib/dpkg/", "var/log/", "var/cache/", "tmp/", "proc/", "etc/.pwd.lock")
        return {name: what for name, what in found.items() if not name.startswith(own) and name[-1] != "-"}

    @staticmethod
    def clean() -> list[str]:
        """What comes before a command so that nothing of this machine's environment gets in."""
        clean = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        return ["env", "-i", *(f"{key}={value}" for key, value in clean.items())]

    def _words(self, user: str, *command: str) -> list[str]:
        # A mount of its own, which goes with the command; exec, so that a signal meets the command itself.
        inside = 'mount -t proc proc "$1/proc" && root=$1 user=$2 && shift 2 && exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups "$@"'
        return [*self.clean(), "unshare", "--mount", "sh", "-c", inside, "sh", str(self.root), user, *command]
