"""The machine that is looked at: what its kernel and its programs say. Tests put a folder in place of it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.clock import kernel_synchronised

COMMAND_TIMEOUT: Final = 2.0
"""Seconds that a program of the system may take."""


class Machine:
    """Everything below one folder.

    Attributes:
        root: the folder: `/`, but in tests.
        kernel_synchronised: whether the kernel says that the clock is right.
    """

    def __init__(
        self, root: Path = Path("/"), kernel_synchronised: Callable[[], bool] = kernel_synchronised
    ) -> None:
        self.root = root
        self.kernel_synchronised = kernel_synchronised

    def at(self, path: str) -> Path:
        """Where a path of this machine is. An absolute path is meant as from its root."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """What a small file says, without blanks around it; empty if it cannot be read."""
        return read_text(self.at(path))

    def number(self, path: str) -> int | None:
        """The number, decimal or 0x..., that a file says; None if there is none."""
        try:
            return int(self.text(path), 0)
        except ValueError:
            return None

    def run(self, *command: str) -> str | None:
        """What a program of the system prints; None if it is not there, fails, or does not end in time."""
        try:
            ran = subprocess.run(  # noqa: S603 - fixed commands of the system, by their names
                command,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
                errors="replace",
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return ran.stdout if ran.returncode == 0 else None


def read_text(path: Path) -> str:
    """The same of any file."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
