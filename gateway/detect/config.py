"""What a person may set in detect.toml."""

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

import gateway.config
from gateway.config import ConfigError, DetectKafka, Log, Name, PathText


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[limits]]` table: the range a sensor has to stay in.

    Attributes:
        sensor, device: whom it is for, as shell patterns such as `temp*`; the first table that matches counts.
        low, high: in the unit of the sensor; values equal to them are still inside. At least one is there.
        hysteresis: how far back inside a value must come to clear the anomaly, in the unit of the sensor.
            Absent: 1 % of the range, or of the limit if there is only one.
    """

    sensor: Annotated[str, Meta(min_length=1)]
    device: Annotated[str, Meta(min_length=1)] = "*"
    low: float | None = None
    high: float | None = None
    hysteresis: float | None = None

    def width(self) -> float:
        """The hysteresis, set or by default."""
        if self.hysteresis is not None:
            return self.hysteresis
        if self.low is not None and self.high is not None:
            return (self.high - self.low) / 100
        return abs(self.low or self.high or 0.0) / 100


class Spike(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[spike]`: sudden jumps away from what a sensor has been doing.

    Attributes:
        enabled: whether the rule runs.
        warm_up: readings of a sensor before the rule says anything about it; also how many make a new level.
        threshold: raised from here on, in sigma.
        tau: time constant of the mean and of the scale, in seconds.
    """

    enabled: bool = True
    warm_up: Annotated[int, Meta(ge=10, le=3600)] = 60
    threshold: Annotated[float, Meta(ge=4, le=1000)] = 8.0
    tau: Annotated[float, Meta(gt=0, le=604_800)] = 900.0


class DetectConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in detect.toml.

    Attributes:
        group: the Kafka consumer group; processes of one group share the work.
        start: where a group that Kafka does not know yet begins to read.
        state_dir: where each process on this machine takes a place of its own (docs/detection.md). Empty:
            $STATE_DIRECTORY (systemd), else ~/.local/state/gateway-detect.
        snapshot_every: seconds between two snapshots of what was learnt.
        max_sensors: sensors remembered at most; beyond it the one unheard of for longest is forgotten.
    """

    kafka: DetectKafka = DetectKafka()
    log: Log = Log()
    group: Name = "gateway-detect"
    start: Literal["earliest", "latest"] = "earliest"
    state_dir: PathText = ""
    snapshot_every: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    max_sensors: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    limits: tuple[Limit, ...] = ()
    spike: Spike = Spike()

    def limit_for(self, device: str, sensor: str) -> Limit | None:
        """The first table of limits that matches, if any."""
        for limit in self.limits:
            if fnmatchcase(sensor, limit.sensor) and fnmatchcase(device, limit.device):
                return limit
        return None


def load_detect(path: Path) -> DetectConfig:
    """Read and check detect.toml.

    Raises:
        ConfigError: see its docstring.
    """
    config = gateway.config.load(path, DetectConfig)
    for place, limit in enumerate(config.limits):
        if problem := _problem(limit):
            raise ConfigError(f"{path}: limits.{place}.{problem}")
    gateway.config.check_topics(config.kafka, path)
    return config


def _problem(limit: Limit) -> str | None:
    """The key that is wrong, its value and what is allowed; None if all is well."""
    low, high, hysteresis = limit.low, limit.high, limit.hysteresis
    for key, value in (("low", low), ("high", high), ("hysteresis", hysteresis)):
        if value is not None and not math.isfinite(value):
            return f"{key}: {value} is not allowed: must be a finite number"
    if low is None and high is None:
        return "high: is missing, and low too: set at least one of them"
    if hysteresis is not None and hysteresis < 0:
        return f"hysteresis: {hysteresis:g} is not allowed: must be 0 or more"
    if low is not None and high is not None:
        if low > high:
            return f"low: {low:g} is not allowed: must be at most high, {high:g}"
        if hysteresis is not None and hysteresis > high - low:
            return f"hysteresis: {hysteresis:g} is not allowed: must be at most high - low, {high - low:g}"
    return None
