"""What every command of gatewayctl keeps to as a process: what it loads, how long it takes, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from gateway.cli.main import COMMANDS, parser
from gateway.cli.verbs import below

GATEWAYCTL: Final = Path(sys.executable).with_name("gatewayctl")
CONFIG: Final = Path(__file__).parents[2] / "config"

SLOW: Final = {
    "dead-letters list": "asks Kafka",
    "dead-letters show": "asks Kafka",
    "dead-letters replay": "asks Kafka",
    "doctor": "asks Kafka and brokers",
    "tail": "streams",
    "verify": "asks Kafka",
    "anomalies": "asks Kafka",
    "ack": "asks Kafka",
    "accept": "asks Kafka",
    "fault": "asks Kafka",
    "capture": "streams",
    "decode": "streams",
    "simulate": "streams",
    "demo": "streams",
}
"""Commands that ask the network or stream, and so may take their time."""

QUICK: Final = {
    "status": [],
    "sources": [],
    "reload": [],
    "devices discover": [],
    "devices list": [],
    "devices forget": ["boiler-7"],
    "logs": ["--event", "no such event"],
    "spool": ["--config", str(CONFIG / "gateway.toml")],
    "config check": ["OPTIONS.toml"],
    "config show": [str(CONFIG / "gateway.toml")],
    "config diff": [str(CONFIG / "gateway.toml")],
    "config schema": [],
    "service install": ["--dry-run"],
    "service uninstall": ["--dry-run"],
    "service show": [],
    "completion": ["bash"],
    "version": [],
}
"""All others, with what is asked of them here."""

HEAVY: Final = {
    "confluent_kafka",
    "google",
    "matplotlib",
    "numpy",
    "paho",
    "prometheus_client",
    "re2",
    "rich",
    "serial",
    "shtab",
    "structlog",
    "tenacity",
    "zstandard",
}

NEEDED: Final = {
    "spool": {"structlog", "zstandard"},  # where no gatewayd answers it looks into the files
    "config check": {"confluent_kafka", "structlog"},  # whether the Kafka client takes its options
    "config schema": {"serial"},  # the settings of every source
    "completion": {"shtab"},
    "version": {"confluent_kafka"},  # which brings librdkafka
}
"""What a command has a reason to load."""

MOST: Final = 350
"""Modules, of the standard library too: each costs its share of a start, on a Pi five times as much as here."""

MOST_FOR_HELP: Final = 200

LONGEST: Final = 0.150
"""Seconds."""

OF_PYTHON: Final = 16
"""The same as a multiple of what Python needs for nothing at all, where the machine has other things to do."""

COUNT: Final = """
import sys
from gateway.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
loaded = [name for name, module in list(sys.modules.items()) if module]
print(len(loaded), *{name.partition(".")[0] for name in loaded}, file=sys.stderr)
sys.exit(code)
"""

all_of_them = [words for words, found in below(parser(COMMANDS)) if not found._subparsers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("commands")
    (made / "OPTIONS.toml").write_text(
        '[kafka.options]\n"client.rack" = "a"\n[sources.s]\nkind = "simulator"\n', encoding="utf-8"
    )
    return made


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Without a daemon, and without journalctl, which would take the place of the process."""
    return {"PATH": "", "HOME": str(folder), "GATEWAY_SOCKET": str(folder / "nobody"), **more}


def run(folder: Path, *words: str, program: str = COUNT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-Ic", program, *words],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def loaded(said: str) -> tuple[int, set[str]]:
    """How many modules, and whose."""
    count, *names = said.splitlines()[-1].split()
    return int(count), set(names)


def test_every_command_is_quick_or_has_a_reason() -> None:
    assert sorted(all_of_them) == sorted([*QUICK, *SLOW])


@pytest.mark.parametrize("words", all_of_them)
def test_a_help_loads_nothing_that_takes_long(words: str, folder: Path) -> None:
    ran = run(folder, *words.split(), "--help")

    count, names = loaded(ran.stderr)
    assert ran.returncode == 0
    assert not HEAVY & names
    assert count <= MOST_FOR_HELP


@pytest.mark.parametrize("words", QUICK)
def test_a_quick_command_loads_only_what_it_needs_and_prints_json_if_asked(words: str, folder: Path) -> None:
    as_json = [] if words == "completion" else ["--json"]
    ran = run(folder, *words.split(), *QUICK[words], *as_json)

    count, names = loaded(ran.stderr)
    assert HEAVY & names == NEEDED.get(words, set())
    assert count <= MOST
    assert ran.returncode in {0, 1, 2}
    assert "\x1b" not in ran.stdout
    assert "Traceback" not in ran.stderr
    if as_json and (ran.stdout or ran.returncode < 2):
        json.loads(ran.stdout)


@pytest.mark.parametrize("words", QUICK)
def test_a_quick_command_answers_in_150_ms(words: str, folder: Path) -> None:
    def seconds(*command: str | Path) -> float:
        began = time.perf_counter()
        ran = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, check=False)
        assert ran.returncode in {0, 1, 2}
        return time.perf_counter() - began

    rounds = [
        (seconds(sys.executable, "-Ic", "pass"), seconds(GATEWAYCTL, *words.split(), *QUICK[words]))
        for _ in range(4)
    ][1:]  # the first one reads from disk
    nothing, best = (min(times) for times in zip(*rounds, strict=True))

    assert best <= max(LONGEST, OF_PYTHON * nothing), rounds


@pytest.mark.parametrize(
    "words", ["--help", "config schema", "config --help", "completion bash", "version", "--version"]
)
def test_a_reader_that_left_ends_it_quietly(words: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor
        ran = subprocess.run(
            [GATEWAYCTL, *words.split()],
            env=environment(folder),
            stdout=nowhere,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (ran.returncode, ran.stderr) == (141, b"")


def test_a_full_disk_is_told(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [GATEWAYCTL, "version"], env=environment(folder), stdout=full, stderr=subprocess.PIPE, check=False
        )

    told = b"gatewayctl: what was to be printed cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (2, told)


def test_ctrl_c_ends_it_quietly(folder: Path) -> None:
    with subprocess.Popen(
        [GATEWAYCTL, "decode", "--decoder", "keyvalue"],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"device=a t=1\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("words", ["config schema", "completion bash", "version --json", "status"])
def test_what_cannot_be_printed_is_said_and_no_success(words: str, folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [GATEWAYCTL, *words.split()],
            env=environment(folder),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    if words != "status":  # which has nothing to print here
        assert (
            ran.stderr == b"gatewayctl: what was to be printed cannot be written: No space left on device\n"
        )
    assert ran.returncode == 2

    shell: list[str | Path] = ["sh", "-c", 'exec "$@" >&-', "sh", GATEWAYCTL, *words.split()]
    ran = subprocess.run(
        shell, env=environment(folder) | {"PATH": os.environ["PATH"]}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (
        2,
        b"gatewayctl: what was to be printed cannot be written: standard output is closed\n",
    )
