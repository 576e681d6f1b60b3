"""The demo as a person runs it: as a process, with all its processes, its pseudo-terminal and its Kafka."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until


class Demo:
    """A running demo whose temporary files go to a folder of the test."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._said = (folder.parent / "said").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "demo", *options],
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    def said(self) -> str:
        """What it wrote to stderr up to now."""
        return Path(self._said.name).read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.said() or self.process.poll() is not None, text, within=60)
        assert text in self.said()

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote to stdout."""
        out, _ = self.process.communicate(timeout=90)
        return self.process.returncode, out.decode()

    def processes(self) -> dict[str, int]:
        """Its programs by name: the processes that were told of its folder."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            for word in words:
                if word.startswith(str(self.folder)) and word.endswith(".toml"):
                    found[Path(word).stem] = int(entry.name)
        return found

    def left_behind(self) -> list[str]:
        return [*self.processes(), *(entry.name for entry in self.folder.iterdir())]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._said.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as short:  # the names of sockets have 107 characters at most
        folder = Path(short, "t")
        folder.mkdir()
        yield folder


@pytest.fixture
def endless(folder: Path) -> Iterator[Demo]:
    demo = Demo(folder)
    yield demo
    demo.close()


def test_it_runs_unattended_and_proves_what_it_shows(folder: Path) -> None:
    demo = Demo(folder, "--for", "13s", "--json")
    try:
        code, out = demo.end()
    finally:
        demo.close()

    assert code == 0, demo.said()
    report = json.loads(out)
    assert len(out.splitlines()) == 1
    assert report["received"] == report["delivered"] == report["read_back"] >= 2 * 6 * 100
    assert report["spooled"] == report["dead_lettered"] == report["dropped"] == 0
    assert report["balanced"] is True
    assert report["faults_injected"] >= 2
    assert report["faults_found"] == report["faults_injected"] <= report["anomalies_raised"]
    assert re.search(r"fault injected: sim-1 temperature: level shifted by \+14", demo.said())
    assert re.search(r"fault injected: press-2 vibration: spike of \+2\.1", demo.said())
    assert demo.left_behind() == []


def test_ctrl_c_ends_it_in_order_with_every_reading_accounted_for(endless: Demo) -> None:
    endless.wait_for("data flows")
    endless.wait_for(" readings in Kafka")

    endless.process.send_signal(signal.SIGINT)
    code, out = endless.end()

    assert code == 1, "no fault was due yet, and that is said"
    assert "no fault was injected yet" in endless.said()
    counts = re.search(r"(\d+) readings received = (\d+) delivered \+ 0 still held, 0 dead-lettered", out)
    assert counts is not None, out
    assert counts[1] == counts[2]
    assert endless.left_behind() == []


@pytest.mark.parametrize("files", [0, 1, 5])
def test_ctrl_c_while_it_starts_leaves_nothing_behind(endless: Demo, files: int) -> None:
    wait_until(lambda: sum(1 for _ in endless.folder.rglob("*")) >= files, "files", within=60)
    if files == 0:
        endless.wait_for("starting")

    endless.process.send_signal(signal.SIGINT)
    code, _ = endless.end()

    assert code in {130, 1}, endless.said()
    assert endless.left_behind() == []


def test_a_second_ctrl_c_does_not_wait(endless: Demo) -> None:
    endless.wait_for("data flows")
    gatewayd = endless.processes()["gateway"]
    os.kill(gatewayd, signal.SIGSTOP)

    endless.process.send_signal(signal.SIGINT)
    endless.wait_for("stopping")
    endless.process.send_signal(signal.SIGINT)
    code, _ = endless.end()

    assert code == 130, endless.said()
    assert endless.left_behind() == []


@pytest.mark.parametrize(("config", "name"), [("gateway", "gatewayd"), ("detect", "gateway-detect")])
def test_a_program_that_dies_is_named_with_the_end_of_its_log(endless: Demo, config: str, name: str) -> None:
    endless.wait_for("data flows")
    log = next(endless.folder.rglob(f"{name}.log"))
    wait_until(lambda: log.stat().st_size, "its first event in its log", within=60)

    os.kill(endless.processes()[config], signal.SIGKILL)
    code, _ = endless.end()

    assert code == 1
    assert f"gatewayctl demo: {name} ended by itself with signal 9; the end of its log:" in endless.said()
    assert '"event"' in endless.said()
    assert endless.left_behind() == []


def test_its_programs_do_not_outlive_it(endless: Demo) -> None:
    endless.wait_for("data flows")

    endless.process.kill()

    wait_until(lambda: not endless.processes(), "the end of all processes", within=30)
