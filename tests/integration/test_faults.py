"""A few rounds of the laboratory, one of each kind of fault that is soon over. `make faults` plays as many as you like."""

import subprocess
import sys
from pathlib import Path

import pytest

LABORATORY = Path(__file__).parents[1] / "faults" / "laboratory.py"
CHEAP = (
    "kill -9 gatewayd",
    "kill -9 gatewayd in mid-transaction",
    "kill -9 mosquitto",
    "freeze one broker",
    "cut to MQTT",
    "serial hang-up",
)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("kafka_installed")
def test_faults_lose_repeat_and_reorder_nothing() -> None:
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
            said, _ = laboratory.communicate(timeout=540)
        finally:
            laboratory.terminate()  # in order, so that none of its servers stays behind
    last = said.splitlines()[-1]
    assert last == f"faults: {len(CHEAP)} rounds, 0 lost, 0 duplicated, 0 reordered", said
    assert laboratory.returncode == 0, said
