"""One process of a group that detects."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import counting
from daemon import COMMANDS

SNAPSHOT_EVERY: Final = 3.0

CONFIG: Final = """
group = "{names.group}"
state_dir = "{folder}/state"
snapshot_every = {snapshot_every}
[kafka]
bootstrap_servers = "{bootstrap}"
readings_topic = "{names.readings}"
anomalies_topic = "{names.anomalies}"
state_topic = "{names.state}"
commands_topic = "{names.commands}"
{settings}
[log]
format = "json"
{rules}
"""

GATEWAY_DETECT: Final = (COMMANDS / "gateway-detect",)
COUNTING: Final = (sys.executable, counting.__file__)
"""The real one, and that with the counting bank."""


class Names(NamedTuple):
    """Of the group and its topics."""

    group: str = "laboratory"
    readings: str = "readings"
    anomalies: str = "anomalies"
    state: str = "detect-state"
    commands: str = "anomaly-commands"

    @classmethod
    def of(cls, one: str) -> "Names":
        """All made of one name, so that tests do not meet."""
        return cls(one, one, f"{one}-anomalies", f"{one}-state", f"{one}-commands")


class Member:
    """One process of the group. Attributes: log, config: files; kills: how often it was killed while it ran."""

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        names: Names,
        program: Sequence[str | Path],
        settings: str = "",
        rules: str = "",
    ) -> None:
        """`settings` are further lines of `[kafka]`, `rules` tables at the end."""
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        self._program = program
        self.config = folder / "detect.toml"
        self.config.write_text(
            CONFIG.format(
                names=names,
                folder=folder,
                bootstrap=bootstrap,
                snapshot_every=SNAPSHOT_EVERY,
                settings=settings,
                rules=rules,
            )
        )
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, within: float = 30.0) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(within)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of this name so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def start(self) -> None:
        if not self.running:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._program, "--config", self.config],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def kill(self) -> None:
        if self._process is not None:
            self.kills += self.running
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM; it must end in order."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(60)
        assert code == 0, f"a process ended with {code}; see {self.log}"

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
