"""The programs of the gateway as processes of the demo: started for sure, ended for sure."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.cli.demo.trouble import DemoError

STOP_DEADLINE: Final = 30.0
"""Seconds for an ordered stop, more than gatewayd needs at the very most."""

_TAIL: Final = 15
"""Lines of a log to show when its process failed."""

_RUN: Final = """
import ctypes, runpy, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG: SIGTERM for us should the demo be killed
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Process:
    """One program with its configuration file and its log; a context manager that leaves no process behind.

    It is in a process group of its own: Ctrl-C in a terminal reaches the demo alone, which stops things in order.

    Args:
        name: for people, and for the name of the log.
        module: what to run, as `python -m` would.
        config: its --config.
        folder: where its log goes.
    """

    def __init__(self, name: str, module: str, config: Path, folder: Path) -> None:
        self.name = name
        self._stopped = False
        self.log = folder / f"{name}.log"
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-c", _RUN, module, "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,
            )

    def check(self) -> None:
        """See that it still runs, until it is stopped.

        Raises:
            DemoError: it does not; with the end of its log.
        """
        code = self._process.poll()
        if code is not None and not self._stopped:
            raise self._failed(f"ended by itself with {_how(code)}")

    def stop(self) -> None:
        """Ask it to stop, and wait until it has.

        Raises:
            DemoError: it took too long, or did not end in order.
        """
        self.check()
        self._stopped = True
        self._process.terminate()
        try:
            code = self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not stop within {STOP_DEADLINE:.0f} s of SIGTERM") from None
        if code:
            raise self._failed(f"did not stop in order but with {_how(code)}")

    def _failed(self, how: str) -> DemoError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
        tail = "\n".join(f"  {line}" for line in lines) if lines else "  (nothing)"
        return DemoError(f"{self.name} {how}; the end of its log:\n{tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
