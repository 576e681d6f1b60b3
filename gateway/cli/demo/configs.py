"""The configuration files of the demo, written as a person would."""

import json
from pathlib import Path
from typing import Final, NamedTuple

from devices.simulator import Settings
from devices.simulator.sensors import sensors_of
from gateway.config import Kafka

PLANT: Final = "plant"
LINE: Final = "line"

# Ten readings a second of each sensor: the detector has its 60 readings of warm-up within the first slot of 8 s,
# in which nothing goes wrong; from then on there is a fault in every slot. The seeds begin with faults at 8.2 and
# 8.6 s, so that a short run shows something too.
SIMULATED: Final = Settings(count=2, interval=0.1, seed=57, faults_per_hour=450, faults=("level", "spike"))
ON_THE_LINE: Final = Settings(
    count=2, prefix="press-", interval=0.1, seed=13, faults_per_hour=450, faults=("spike", "level")
)

GROUP: Final = "gateway-detect"


class Files(NamedTuple):
    """What the demo has in its folder."""

    gateway: Path
    detect: Path
    socket: Path
    truth: Path


def kafka(servers: str) -> Kafka:
    """The settings of Kafka; the embedded one has no administration, so nothing asks it to make topics."""
    return Kafka(bootstrap_servers=servers, create_topics=False, options={"group.protocol": "consumer"})


def write(folder: Path, servers: str, port: str) -> Files:
    """Write gateway.toml and detect.toml into the folder, for the Kafka at `servers` and the serial port `port`."""
    files = Files(
        folder / "gateway.toml", folder / "detect.toml", folder / "gatewayd.sock", folder / "truth.jsonl"
    )
    files.truth.touch()
    files.gateway.write_text(
        f"""
[gateway]
id = "demo"
state_dir = {_text(folder / "state")}

[kafka]
bootstrap_servers = {_text(servers)}
create_topics = false
delivery = "at-least-once"

[control]
socket = {_text(files.socket)}

[clock]
trusted = true

[log]
format = "json"

[sources.{PLANT}]
kind = "simulator"
count = {SIMULATED.count}
interval = {SIMULATED.interval}
seed = {SIMULATED.seed}
faults_per_hour = {SIMULATED.faults_per_hour}
faults = {json.dumps(SIMULATED.faults)}
truth = {_text(files.truth)}

[sources.{LINE}]
kind = "serial"
port = {_text(port)}
""",
        encoding="utf-8",
    )
    limits = "".join(
        f"""
[[rules]]
sensor = {_text(sensor.name)}
limits = {{ low = {sensor.low}, high = {sensor.high} }}
"""
        for sensor in sensors_of("any", seed=0)
    )
    files.detect.write_text(
        f"""
group = {_text(GROUP)}

[kafka]
bootstrap_servers = {_text(servers)}
create_topics = false
delivery = "at-least-once"
options = {{ "group.protocol" = "consumer" }}

[log]
format = "json"
{limits}""",
        encoding="utf-8",
    )
    return files


def _text(value: object) -> str:
    """As a TOML string; what JSON writes is one."""
    return json.dumps(str(value))
