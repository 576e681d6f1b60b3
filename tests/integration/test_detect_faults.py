"""A few rounds of detection's laboratory. `make faults-detect` plays as many as you like."""

import subprocess
import sys
from pathlib import Path

import pytest

LABORATORY = Path(__file__).parents[1] / "faults" / "detect_laboratory.py"
CHEAP = ("kill -9", "kill -9 all in mid-transaction", "SIGTERM", "SIGSTOP past the session")


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("kafka_installed")
def test_detection_says_the_same_whatever_happens_to_its_processes() -> None:
    command: list[str | Path] = [
        sys.executable,
        LABORATORY,
        "--rounds",
        str(len(CHEAP)),
        "--seed",
        "7",
        "--faults",
        ",".join(CHEAP),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as laboratory:
        try:
            said, _ = laboratory.communicate(timeout=270)
        finally:
            laboratory.terminate()  # in order, so that none of its servers stays behind
    assert laboratory.returncode == 0, said
    assert " 0 differences, 0 missing; undisturbed: " in said.splitlines()[-1], said
