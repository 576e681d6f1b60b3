"""A real Prometheus for the tests, over the configuration that we ship."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from waiting import wait_until

CONFIG: Final = Path(__file__).parents[2] / "config"
EXAMPLE: Final = CONFIG / "prometheus" / "prometheus.yml"
RULES: Final = CONFIG / "prometheus" / "gateway.rules.yml"


class Prometheus:
    """One on loopback that scrapes once a second, with the example configuration but for the ports, and its rules."""

    def __init__(self, folder: Path, port: int, targets: dict[str, str]) -> None:
        """`targets` are what to put in place of the addresses in the example."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/api/v1/"
        self._address = f"127.0.0.1:{port}"
        text = EXAMPLE.read_text().replace(": 15s", ": 1s")
        for shown, real in targets.items():
            assert text.count(shown) == 1, shown
            text = text.replace(shown, real)
        (folder / "prometheus.yml").write_text(text)
        shutil.copy(RULES, folder)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._address}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, "Prometheus to answer")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant vector, now. An expression that it refuses fails the test, with what it says of it."""
        answer = self.get("query", query=expression)
        assert answer["resultType"] == "vector", expression
        found: list[dict[str, Any]] = answer["result"]
        return found

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters or path}: {error.read().decode()}") from None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=1):
            return True
        return False


def missing() -> str:
    """What stands in the way of starting one here, and the command that helps; empty if nothing."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        return "prometheus is not installed: sudo apt-get install prometheus"
    return ""
