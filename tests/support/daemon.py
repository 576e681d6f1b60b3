"""gatewayd as a real process, for tests."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from waiting import wait_until

from gateway.control import ControlError, ask

COMMANDS = Path(sys.executable).parent


class Daemon:
    """One gatewayd over a configuration in `folder`; its log is JSON, in `folder/gatewayd.log`.

    `prefix` comes before its command.
    """

    def __init__(self, folder: Path, bootstrap: str, sources: str, settings: str = "") -> None:
        """`sources` are the tables of the sources, `settings` further tables, both TOML."""
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "d.sock"
        self.log = folder / "gatewayd.log"
        self.config = folder / "gateway.toml"
        self.config.write_text(
            f"""
[gateway]
id = "pi-7"
state_dir = "{folder / "state"}"
[control]
socket = "{self.socket}"
[clock]
trusted = true
[log]
format = "json"
[kafka]
bootstrap_servers = "{bootstrap}"
{settings}
{sources}
"""
        )
        self.prefix: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; on return it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, COMMANDS / "gatewayd", "--config", self.config],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        wait_until(self._answers, "gatewayd to answer")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def stop(self, within: float = 20.0) -> float:
        """SIGTERM; returns the seconds until it had ended, which must be in order."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(within) == 0, self.log.read_text()
        return time.monotonic() - began

    def wait(self, within: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(within)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def status(self) -> dict[str, Any]:
        """What `gatewayctl status --json` prints."""
        return ask(self.socket, {"verb": "status"})

    def ledger(self, source: str) -> dict[str, Any]:
        """Of one source; the whole ledger must balance."""
        ledger = self.status()["ledger"]
        assert ledger["balanced"], ledger
        found: dict[str, Any] = ledger["sources"][source]
        return found

    def delivered(self, source: str) -> int:
        """Readings of a source that Kafka has."""
        return int(self.ledger(source)["readings"]["delivered"])

    def state(self, source: str) -> str:
        """Of the link of a source."""
        return next(str(one["state"]) for one in self.status()["sources"] if one["name"] == source)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of this name so far."""
        lines = self.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            ask(self.socket, {"verb": "ping"}, timeout=1.0)
        except ControlError:
            return False
        return True
