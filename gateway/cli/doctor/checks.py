"""All checks, in the order in which they are shown, and what each of them is given."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from gateway.cli.doctor import board, brokers, cluster, configuration, disk, ports, service, versions, wifi
from gateway.cli.doctor import clock as clocks
from gateway.cli.doctor.finding import Finding, note, warning
from gateway.cli.doctor.here import Here
from gateway.cli.doctor.together import together
from gateway.cli.doctor.topics import Wanted
from gateway.config import DetectKafka, GatewayConfig
from gateway.kafka.client import cursor_group

NETWORK: Final = 12.0
LOCAL: Final = 3.0
"""Seconds that a check may take, with and without the network. Each keeps to less by itself."""


class Check(NamedTuple):
    """One check.

    Attributes:
        group: what it is about.
        run: yields findings.
        within: seconds that it may take.
    """

    group: str
    run: Callable[[Here], Iterator[Finding]]
    within: float = LOCAL


class ConfiguredCheck(NamedTuple):
    """One check that needs a configuration that is accepted."""

    group: str
    run: Callable[[Here, GatewayConfig], Iterator[Finding]]
    within: float = LOCAL


class Found(NamedTuple):
    """A finding and its group."""

    group: str
    finding: Finding


def kafka(here: Here, config: GatewayConfig) -> Iterator[Finding]:
    """Kafka as gatewayd uses it."""
    once = config.kafka.delivery == "exactly-once"
    gateway = here.gateway or "doctor"
    unset = not config.clock.trusted
    write = ("Write",)
    wanted = [
        # The position in the transaction is an offset of this topic, for which Kafka wants the right to read it.
        Wanted(
            config.kafka.readings_topic,
            compacted=False,
            rights=("Write", "Read") if once else write,
            clock_unset=unset,
        ),
        Wanted(config.kafka.dead_letters_topic, compacted=False, rights=write, clock_unset=unset),
        Wanted(config.kafka.status_topic, compacted=True, rights=write),
    ]
    said = here.status["kafka"] if here.status else {}
    works = bool(said.get("reachable")) and said.get("last_delivery_age_s") is not None
    yield from cluster.cluster(
        config.kafka, wanted, cursor_group(gateway), f"gateway-{gateway}" if once else "", works=works
    )


def detect_kafka(here: Here) -> Iterator[Finding]:
    """Kafka as gateway-detect uses it, if it is set up here. Where it is not, its topics are made at its first start."""
    if here.detect is None:
        return
    settings: DetectKafka = here.detect.kafka
    wanted = [
        Wanted(settings.readings_topic, compacted=False, rights=("Read",)),
        Wanted(settings.anomalies_topic, compacted=False, rights=("Write", "Read")),
        Wanted(
            settings.state_topic, compacted=True, rights=("Write", "Read"), as_many_as=settings.readings_topic
        ),
        Wanted(settings.commands_topic, compacted=None, rights=("Write", "Read")),
    ]
    for one in cluster.cluster(settings, wanted, here.detect.group, "", works=False):
        if one.severity:
            yield one._replace(looked_at=f"gateway-detect, {one.looked_at}")


CHECKS: Final[tuple[Check | ConfiguredCheck, ...]] = (
    Check("configuration", lambda here: configuration.accepted(here.path)),
    Check("configuration", lambda here: configuration.detect_accepted(here.detect_path)),
    Check("configuration", lambda here: configuration.readable(here.path, here.user)),
    Check("service", lambda here: service.unit(here.unit, here.status)),
    Check("service", lambda here: service.control(here.socket, here.status, here.silence, here.unit)),
    Check("service", lambda here: service.health(here.status)),
    Check("service", lambda here: service.journal(here.machine)),
    Check("versions", lambda here: versions.installed(here.machine)),
    Check("versions", lambda here: versions.running(here.status, here.asked, here.unit)),
    ConfiguredCheck("serial", lambda here, config: ports.ports(config, here.machine, here.user, here.unit)),
    ConfiguredCheck("serial", lambda _, config: ports.servers(config), NETWORK),
    ConfiguredCheck("mqtt", brokers.brokers, NETWORK),
    ConfiguredCheck("kafka", kafka, NETWORK),
    Check("kafka", detect_kafka, NETWORK),
    ConfiguredCheck("disk", lambda here, config: disk.room(config, here.folder, here.status)),
    Check("disk", lambda here: disk.file_system(here.folder, here.machine, here.user)),
    Check("disk", lambda here: disk.fsync(here.folder, here.user, disk.NamelessFile)),
    ConfiguredCheck("clock", lambda here, config: clocks.clock(config, here.machine)),
    Check("board", lambda here: board.power(here.machine)),
    Check("board", lambda here: board.heat(here.machine)),
    Check("board", lambda here: board.card(here.machine)),
    Check("board", lambda here: board.file_systems(here.machine)),
    Check("board", lambda here: board.memory(here.machine)),
    Check("wifi", lambda here: wifi.wifi(here.machine)),
    Check("wifi", lambda here: wifi.blocked(here.machine)),
)


def findings(here: Here) -> list[Found]:
    """What all checks say, side by side."""
    checks = [one for one in CHECKS if here.config is not None or isinstance(one, Check)]
    works = [partial(run_check, one, here) for one in checks]
    ends = together(works, max(one.within for one in checks))
    found: list[Found] = []
    for check, end in zip(checks, ends, strict=True):
        found += [Found(check.group, one) for one in end.items]
        if end.error is not None:
            found.append(Found(check.group, _broken(check.group, end.error)))
        elif not end.ended:
            found.append(Found(check.group, _late(check.group, check.within)))
    if here.config is None:
        groups = sorted({one.group for one in CHECKS if isinstance(one, ConfiguredCheck)})
        why = f"not looked at, for want of a configuration: {', '.join(groups)}"
        found.append(
            Found(
                "configuration",
                note(
                    "not looked at",
                    str(here.path),
                    why,
                    "correct it, or let it be read: sudo gatewayctl doctor",
                ),
            )
        )
    return found


def run_check(check: Check | ConfiguredCheck, here: Here) -> Iterator[Finding]:
    """What one check says. One that needs a configuration must have it."""
    if isinstance(check, Check):
        return check.run(here)
    assert here.config is not None  # noqa: S101 - findings() takes no other
    return check.run(here, here.config)


def _late(group: str, within: float) -> Finding:
    return warning(
        "check hangs",
        group,
        f"a check did not end in {within:g} s",
        "a disk, a name server or a broker hangs: sudo dmesg | tail",
    )


def _broken(group: str, error: Exception) -> Finding:
    return warning(
        "check failed",
        group,
        f"a check failed itself: {type(error).__name__}: {error}",
        "try it with sudo; otherwise please report this",
    )
