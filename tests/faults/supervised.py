"""gatewayd and gateway-detect under a supervisor that starts them again when they end by themselves, as systemd does."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final, Self

from daemon import COMMANDS, Daemon
from process import resident

LOOK_EVERY: Final = 0.2


class Gateway:
    """gatewayd. A fault that ends it starts it again itself. Use as a context manager, which starts it.

    Attributes:
        daemon: it; `daemon.environment` and `daemon.prefix` count from the next start.
        kills: when it was killed or ended by itself in this round, in monotonic nanoseconds.
        starts: when it answered after a start in this round, likewise.
        ends: exit codes of the ends in this round that nobody asked for: each one is a failure.
        memory: the most that was resident in this round, in MB.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.kills: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.memory = 0.0
        self._wanted = False
        self._changing = threading.RLock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")

    def __enter__(self) -> Self:
        self.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self.kill()

    def begin_round(self) -> None:
        """Forget what happened in the round before."""
        self.kills, self.starts, self.ends, self.memory = [], [], [], 0.0

    def start(self) -> None:
        """Start it if it does not run; on return it answers."""
        with self._changing:
            if not self._wanted:
                self.daemon.start()
                self.starts.append(time.monotonic_ns())
                self._wanted = True

    def kill(self) -> None:
        """kill -9, if it runs. It stays away until start()."""
        with self._changing:
            if self._wanted:
                self._wanted = False
                self.weigh()
                self.daemon.kill()
                self.kills.append(time.monotonic_ns())

    def stop(self) -> None:
        """SIGTERM, if it runs; it must end in order. It stays away until start()."""
        with self._changing:
            if self._wanted:
                self._wanted = False
                self.weigh()
                self.daemon.stop(60)

    def status(self) -> dict[str, Any]:
        """What `gatewayctl status --json` prints."""
        return self.daemon.status()

    def weigh(self) -> None:
        """Note its memory."""
        if self.daemon.ended() is None:
            self.memory = max(self.memory, resident(self.daemon.pid)[1])

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_EVERY):
            with self._changing:
                if self._wanted and (code := self.daemon.ended()) is not None:
                    self.kills.append(time.monotonic_ns())
                    self.ends.append(code)
                    self.daemon.start()
                    self.starts.append(time.monotonic_ns())


class Detector:
    """gateway-detect. Use as a context manager, which starts it."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        folder.mkdir(parents=True)
        self.log = folder / "gateway-detect.log"
        self._config = folder / "detect.toml"
        self._config.write_text(
            f'state_dir = "{folder}"\n[kafka]\nbootstrap_servers = "{bootstrap}"\n[log]\nformat = "json"\nlevel = "error"\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, if it does not run."""
        if not self.running:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [COMMANDS / "gateway-detect", "--config", self._config],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
