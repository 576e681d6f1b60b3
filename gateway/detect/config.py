"""What a person may set in detect.toml."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

import gateway.config
from devices.errors import SettingError
from devices.mqtt.settings import Access
from devices.mqtt.topics import publish_problem
from gateway.config import DetectKafka, Log, Metrics, Name, PathText
from gateway.config_files import refusal
from gateway.kafka_keys import check_kafka

Pattern = Annotated[str, Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0, le=1e12)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`limits`: the range a sensor has to stay in.

    Attributes:
        low, high: in the unit of the sensor; values equal to them are still inside. At least one is there.
        hysteresis: how far back inside a value must come to clear the anomaly, in the unit of the sensor.
            Absent: 1 % of the range, or of the limit if there is only one.
    """

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


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate`: how fast a sensor may change.

    Attributes:
        per_s: in the unit of the sensor for each second. Absent: as fast as it ever did, and half as much again.
    """

    per_s: Positive | None = None


class Stuck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stuck`: for how long a sensor may show one value.

    Attributes:
        after: seconds. Absent: learned.
    """

    after: Seconds | None = None


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`silence`: for how long a sensor may say nothing.

    Attributes:
        after: seconds. Absent: learned.
    """

    after: Seconds | None = None


class Spike(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`spike`: sudden jumps away from what a sensor has been doing.

    Attributes:
        warm_up: readings of a sensor before the rule says anything about it; so many, 60 at most, make a new level.
        threshold: raised from here on, in sigma.
        tau: time constant of the mean and of the scale, in seconds.
    """

    warm_up: Annotated[int, Meta(ge=10, le=100_000)] = 60
    threshold: Annotated[float, Meta(ge=4, le=1000)] = 7.0
    tau: Annotated[float, Meta(gt=0, le=604_800)] = 900.0


class SpikeAggregate(Spike, frozen=True, forbid_unknown_fields=True):
    """`spike_aggregate`: the same for means of a minute, or of five readings if that is longer.

    Attributes: as of Spike, with means in place of readings.
    """

    warm_up: Annotated[int, Meta(ge=10, le=100_000)] = 600


class Mqtt(Access, frozen=True, forbid_unknown_fields=True):
    """`[mqtt]`: where anomalies go beside the topic, retained.

    Attributes: as of devices.mqtt.settings.Access, and
        broker: host name or address of the broker. Empty: they go to none.
        topic: what their topics begin with, see gateway.detect.retained.
        discovery: what the topics begin with on which Home Assistant looks for devices. Empty: nothing is told there.
    """

    broker: Annotated[str, Meta(pattern=r"^[^\s/]*$")] = ""
    topic: Annotated[str, Meta(min_length=1)] = "anomalies"
    discovery: str = "homeassistant"

    @property
    def hosts(self) -> list[str]:
        """See Access."""
        return [self.broker]

    def check(self, key: str) -> None:
        """See Access."""
        super().check(key)
        for name, topic in (("topic", self.topic), ("discovery", self.discovery)):
            if problem := publish_problem(topic):
                raise SettingError(f"{key}.{name}", f"{topic!r} {problem}")


T = TypeVar("T")


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[rules]]` table: what holds for some sensors. For each rule the first table that matches and has it counts.

    Attributes:
        sensor, device: whom it is for, as shell patterns such as `temp*`.
        limits: without it there are none; false: there are none, whatever later tables say.
        rate, stuck, silence, never_seen, spike, spike_aggregate: on by default; false turns one off, and true on again as
            by default.
    """

    sensor: Pattern = "*"
    device: Pattern = "*"
    limits: Limits | bool | None = None
    rate: Rate | bool | None = None
    stuck: Stuck | bool | None = None
    silence: Silence | bool | None = None
    never_seen: bool | None = None
    spike: Spike | bool | None = None
    spike_aggregate: SpikeAggregate | bool | None = None


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
    metrics: Metrics = Metrics()
    mqtt: Mqtt = Mqtt()
    group: Name = "gateway-detect"
    start: Literal["earliest", "latest"] = "earliest"
    state_dir: PathText = ""
    snapshot_every: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    max_sensors: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    rules: tuple[Rules, ...] = ()

    def limits_for(self, device: str, sensor: str) -> Limits | None:
        """The limits of a sensor, as the next ones: None if the rule does not judge it."""
        found = self._first("limits", device, sensor)
        return found if isinstance(found, Limits) else None

    def rate_for(self, device: str, sensor: str) -> Rate | None:  # noqa: D102
        return self._setting("rate", Rate, device, sensor)

    def stuck_for(self, device: str, sensor: str) -> Stuck | None:  # noqa: D102
        return self._setting("stuck", Stuck, device, sensor)

    def silence_for(self, device: str, sensor: str) -> Silence | None:  # noqa: D102
        return self._setting("silence", Silence, device, sensor)

    def never_seen_for(self, device: str, sensor: str) -> bool:  # noqa: D102
        return self._first("never_seen", device, sensor) is not False

    def spike_for(self, device: str, sensor: str) -> Spike | None:  # noqa: D102
        return self._setting("spike", Spike, device, sensor)

    def spike_aggregate_for(self, device: str, sensor: str) -> SpikeAggregate | None:  # noqa: D102
        return self._setting("spike_aggregate", SpikeAggregate, device, sensor)

    def _setting(self, rule: str, kind: type[T], device: str, sensor: str) -> T | None:
        found = self._first(rule, device, sensor)
        if found is False:
            return None
        return found if isinstance(found, kind) else kind()

    def _first(self, rule: str, device: str, sensor: str) -> object:
        for table in self.rules:
            found: object = getattr(table, rule)
            if found is not None and fnmatchcase(sensor, table.sensor) and fnmatchcase(device, table.device):
                return found
        return None


def load_detect(path: Path) -> DetectConfig:
    """Read and check detect.toml.

    Raises:
        ConfigError: see its docstring.
    """
    config = gateway.config.load(path, DetectConfig)
    for place, rules in enumerate(config.rules):
        for problem in _problems(rules):
            raise refusal(path, SettingError(f"rules.{place}.limits{problem[0]}", problem[1]))
    check_kafka(config.kafka, path)
    try:
        config.mqtt.check("mqtt")
    except SettingError as error:
        raise refusal(path, error) from None
    return config


def _problems(rules: Rules) -> Iterator[tuple[str, str]]:
    """What is wrong with the limits: the end of the key, and its value with what is allowed."""
    limits = rules.limits
    if limits is True:
        yield "", "true is not allowed: must say which, { low = ..., high = ... }, or false for none"
    if not isinstance(limits, Limits):
        return
    low, high, hysteresis = limits.low, limits.high, limits.hysteresis
    for key, value in (("low", low), ("high", high), ("hysteresis", hysteresis)):
        if value is not None and not math.isfinite(value):
            yield f".{key}", f"{value} is not allowed: must be a finite number"
    if low is None and high is None:
        yield ".high", "is missing, and low too: set at least one of them"
    if hysteresis is not None and hysteresis < 0:
        yield ".hysteresis", f"{hysteresis:g} is not allowed: must be 0 or more"
    if low is not None and high is not None:
        if low > high:
            yield ".low", f"{low:g} is not allowed: must be at most high, {high:g}"
        if hysteresis is not None and hysteresis > high - low:
            yield ".hysteresis", f"{hysteresis:g} is not allowed: must be at most high - low, {high - low:g}"
