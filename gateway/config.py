"""What a person may set: TOML files in, typed settings out. An error names file, key, value and what is allowed."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.settings import convert
from gateway.config_files import ConfigError as ConfigError  # noqa: PLC0414 - who loads a configuration catches it
from gateway.config_files import read, refusal
from gateway.kafka_access import KafkaAccess

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$", description="letters, digits, . _ -, 1 to 100 of them")
]
TopicName = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$",
        description="letters, digits, . _ -, 1 to 249 of them, and neither . nor .. alone",
    ),
]
Servers = Annotated[
    str,
    Meta(
        pattern=r"^[^\s,/]+:[0-9]{1,5}(,\s*[^\s,/]+:[0-9]{1,5})*$",
        description="HOST:PORT, several with commas between them",
    ),
]


Listen = Annotated[
    str,
    Meta(
        pattern=r"^((((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!:)|(?=:))){4}|\[[0-9A-Fa-f:.]{2,45}\])"
        r":([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]))?\Z",
        description="ADDRESS:PORT with an address in digits, such as 127.0.0.1:9464 or [::1]:9464, or nothing",
    ),
]
"""Where to listen; empty: nowhere."""

PathText = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", description="a path, which holds no NUL character")]
"""A path: whatever the operating system takes for one."""


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: who this gateway is.

    Attributes:
        id: names it in every record; must differ between gateways. Empty: the board's serial number (and, of a
            service gateway@NAME, the name), else one drawn at the first start and kept in state_dir.
        state_dir: where it keeps what must survive a restart. Empty: $STATE_DIRECTORY (systemd), else
            ~/.local/state/gateway.
        device_names: `gateway` if two gateways may use one name for two devices, `global` if a name is one device.
    """

    id: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9._-]{0,100}$", description="letters, digits, . _ -, at most 100 of them"),
    ] = ""
    state_dir: PathText = ""
    device_names: Literal["gateway", "global"] = "gateway"


class Kafka(KafkaAccess, frozen=True, forbid_unknown_fields=True):
    """`[kafka]`: where readings go.

    Attributes: as of KafkaAccess, and
        bootstrap_servers: host:port, several separated by commas.
        readings_topic, dead_letters_topic, anomalies_topic, status_topic: names of the topics.
        create_topics: make topics that do not exist.
        partitions, replication: of topics made here; 0 leaves it to the broker.
        options: properties handed to the Kafka client as they are (librdkafka's names), for tuning and what has no key.
            `NAME_file` names a file that holds the value of NAME and nothing else, as for a password. A relative path is
            looked up in $CREDENTIALS_DIRECTORY, where systemd puts credentials, if that is set.
    """

    bootstrap_servers: Servers = "localhost:9092"
    readings_topic: TopicName = "readings"
    dead_letters_topic: TopicName = "dead-letters"
    anomalies_topic: TopicName = "anomalies"
    status_topic: TopicName = "gateway-status"
    create_topics: bool = True
    partitions: Annotated[int, Meta(ge=0, le=10_000)] = 6
    replication: Annotated[int, Meta(ge=0, le=32)] = 0
    options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)


class GatewayKafka(Kafka, frozen=True, forbid_unknown_fields=True):
    """`[kafka]` of the gateway.

    Attributes:
        delivery: `exactly-once` writes readings and position in one transaction; `at-least-once` needs no
            transactions, and may repeat readings after a crash.
    """

    delivery: Literal["exactly-once", "at-least-once"] = "exactly-once"


class DetectKafka(Kafka, frozen=True, forbid_unknown_fields=True):
    """`[kafka]` of gateway-detect.

    Attributes:
        state_topic: where it keeps what it learnt of each sensor: compacted, with as many partitions as the readings.
        commands_topic: what people say about anomalies; every process reads all of it.
        delivery: `exactly-once` writes anomalies, state and the position in one transaction; `at-least-once` needs no
            transactions, and may repeat anomalies after a crash, under the same id.
    """

    state_topic: TopicName = "detect-state"
    commands_topic: TopicName = "anomaly-commands"
    delivery: Literal["exactly-once", "at-least-once"] = "exactly-once"


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[ingest]`: when a batch is full.

    Attributes:
        batch_readings: a batch closes at this many readings,
        batch_age: or when its first reading is this old, in seconds.
    """

    batch_readings: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    batch_age: Annotated[float, Meta(gt=0, le=60)] = 0.1


class Spool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[spool]`: what waits for Kafka.

    Attributes:
        spill_after: a batch that Kafka has not acknowledged for so many seconds is written to disk; 0: every batch at
            once; `auto`: three times what Kafka took lately, at least 1.
        memory_bytes: readings held in memory only, at most; from three quarters of it on they are written to disk.
        disk_bytes: what the spool takes on disk at most.
        dead_letter_bytes: dead letters held at most, in memory and on disk, so that garbage cannot push out readings.
        when_full: what to give up when neither disk nor memory has room: the oldest readings held, the newest arriving,
            or, with `block`, the newest of those sources only that cannot be made to wait.
    """

    spill_after: Literal["auto"] | Annotated[float, Meta(ge=0, le=3600)] = "auto"
    memory_bytes: Annotated[int, Meta(ge=1_000_000)] = 12_000_000
    disk_bytes: Annotated[int, Meta(ge=8_000_000)] = 256_000_000
    dead_letter_bytes: Annotated[int, Meta(ge=100_000)] = 2_000_000
    when_full: Literal["drop-oldest", "drop-newest", "block"] = "drop-oldest"


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[control]`: how gatewayctl reaches the daemon.

    Attributes:
        socket: path of the Unix socket. Empty: gatewayd.sock in $RUNTIME_DIRECTORY (systemd), else in
            $XDG_RUNTIME_DIR/gateway, else in /tmp/gateway-UID.
    """

    socket: PathText = ""


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[health]`: when to call something unhealthy.

    Attributes:
        silent_after: a source that is connected but yields nothing for this long is silent, in seconds.
    """

    silent_after: Seconds = 60.0


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[clock]`.

    Attributes:
        trusted: something other than NTP keeps the clock of this machine right (its own battery, a hypervisor, PTP), so
            it is never doubted. Otherwise readings are marked until the machine says that its clock is synchronised.
    """

    trusted: bool = False


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: what is written where.

    Attributes:
        format: `journal` writes native fields to journald, `console` is for eyes, `json` one object a line;
            `auto` is journal under systemd, else console.
        level: the least urgent events shown.
    """

    format: Literal["auto", "console", "json", "journal"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[metrics]`: numbers for Prometheus.

    Attributes:
        listen: address and port at which they are served, to everybody who can reach them. Empty: nowhere. An address and no
            name, as nothing here may wait for a name server.
    """

    listen: Listen = ""


class SourceKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys that every table `[sources.NAME]` may have beside those of its kind.

    Attributes:
        kind: which module serves it, see devices.registry.
        devices: shell patterns of the device names it may bring, `boiler-*`; others become dead letters. Empty: all.
            A name without wildcards is a device that should exist.
        fallback: what yields readings, marked as simulated, while the source is away.
        fallback_after: seconds it must be away before the fallback steps in.
        simulator: settings of the fallback, as of a source of kind simulator.
    """

    kind: str
    devices: list[str] = []
    fallback: Literal["none", "simulator"] = "none"
    fallback_after: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    simulator: dict[str, Any] = {}


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in gateway.toml. `sources` maps names to tables, see SourceKeys and devices.registry."""

    sources: dict[Name, dict[str, Any]]
    gateway: Gateway = Gateway()
    kafka: GatewayKafka = GatewayKafka()
    ingest: Ingest = Ingest()
    spool: Spool = Spool()
    control: Control = Control()
    health: Health = Health()
    clock: Clock = Clock()
    metrics: Metrics = Metrics()
    log: Log = Log()


T = TypeVar("T", bound=msgspec.Struct)


def load(path: Path, kind: type[T]) -> T:
    """Read and check a TOML file of settings, with its drop-ins.

    Raises:
        ConfigError: see its docstring.
    """
    try:
        return convert(read(path).table, kind)
    except SettingError as error:
        raise refusal(path, error) from None
