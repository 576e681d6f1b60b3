"""`gatewayctl doctor` names the fault and its fix: each fault is prepared as it would be met, and some fixes are done."""

import json
import os
import pty
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import mosquitto
import pytest
from daemon import Daemon
from doctoring import (
    SIMULATOR,
    Clockwork,
    Place,
    do_acls,
    do_configs,
    do_shell,
    guarded_kafka,
    named,
    said,
    sasl,
)
from fixtures_kafka import _require_kafka
from fixtures_mqtt import StartBroker
from kafka import KafkaServer
from pty_port import SerialLine
from small_disk import fill, small_disk
from waiting import wait_until

from gateway.cli.doctor import checks, disk
from gateway.cli.doctor.finding import Finding, Severity
from gateway.cli.doctor.user import this_user
from gateway.cli.main import main
from gateway.testing import Unhurried

ROOT = Path("/")
SIZED = "max_queued_messages 100000\nmax_inflight_messages 2000"


class Kafkas(NamedTuple):
    server: KafkaServer
    guarded: str


@pytest.fixture(scope="module")
def kafkas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafkas]:
    _require_kafka()
    server, guarded = guarded_kafka(tmp_path_factory.mktemp("guarded"))
    server.start()
    yield Kafkas(server, guarded)
    server.stop()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with ExitStack() as stack:
        yield Place(tmp_path, stack)
