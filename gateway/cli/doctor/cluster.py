"""Kafka: whether it is there and lets the gateway in, and whether its rights, group and transactions are as needed."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from gateway.cli.doctor.finding import Finding, ok, problem, warning
from gateway.cli.doctor.reach import Unreachable, reach
from gateway.cli.doctor.together import together
from gateway.cli.doctor.topics import Wanted, acl, topic
from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError
from gateway.kafka.diagnosis import DEADLINE
from gateway.kafka.look import Broker, Cluster, look, try_transaction
from gateway.kafka.transactions import TRANSACTION_TIMEOUT
from gateway.spans import span

WITHIN: Final = 4.0
"""Seconds that the cluster has for all questions."""

MUTE: Final = WITHIN + DEADLINE + 1
"""Seconds after which nothing is expected of it any more: to find out why it does not answer takes some, too."""

BROKERS: Final = 20
"""Brokers that are tried one by one."""

DAY: Final = 86_400_000


def cluster(
    kafka: Kafka, wanted: list[Wanted], group: str, transactional_id: str, *, works: bool
) -> Iterator[Finding]:
    """The cluster. `works` says that the service itself has just written there. `transactional_id`: empty, none is used."""
    findings, reached = _bootstrap(kafka)
    yield from findings
    if not reached:
        return
    looked_at = kafka.bootstrap_servers
    [seen] = together([lambda: iter([look(kafka, [one.name for one in wanted], group, WITHIN)])], MUTE)
    if isinstance(seen.error, KafkaUnavailableError):
        found, _, fix = str(seen.error).partition("; ")
        yield problem(
            "kafka refuses",
            looked_at,
            f"it accepts connections, and then: {found}",
            fix or "look into the log of the broker",
        )
        return
    if seen.error:
        raise seen.error
    if not seen.items:
        yield _mute(looked_at)
        return
    there = seen.items[0]
    yield ok("cluster", f"{len(there.brokers)} broker(s) at {looked_at}")
    yield from _advertised(kafka, there.brokers)
    for one in wanted:
        yield from topic(kafka, one, there)
    yield from _group(kafka, group, there)
    if transactional_id:
        yield from _transactions(kafka, transactional_id, works=works)
    yield from _broker_settings(looked_at, there)


def _mute(looked_at: str) -> Finding:
    return problem(
        "kafka mute",
        looked_at,
        f"it accepts connections, and did not answer as a Kafka in {MUTE:g} s",
        "is the port that of a Kafka, does it speak TLS there (tls in [kafka]), and does the broker hang?",
    )


def _bootstrap(kafka: Kafka) -> tuple[list[Finding], bool]:
    """What is wrong with the servers of the configuration, and whether one of them can be reached."""
    servers = [one.strip().rpartition(":") for one in kafka.bootstrap_servers.split(",")]
    places = [(host.strip("[]"), int(port)) for host, _, port in servers]
    tries = together([partial(_tried, *place) for place in places], WITHIN + 1)
    findings = []
    for (host, port), one in zip(places, tries, strict=True):
        if one.error is None and one.ended:
            continue
        looked_at = f"{host}:{port}"
        error = one.error or Unreachable(f"did not answer in {WITHIN + 1:g} s")
        if isinstance(error, Unreachable) and error.by_name:
            fix = f"correct kafka.bootstrap_servers, or the name server of this machine: getent hosts {host}"
            findings.append(problem("name unknown", looked_at, f"it {error}", fix))
        else:
            fix = "is Kafka running, are host and port in kafka.bootstrap_servers right, and does a firewall let it through?"
            findings.append(problem("kafka unreachable", looked_at, f"it {error}", fix))
    return findings, len(findings) < len(places)


def _tried(host: str, port: int) -> Iterator[float]:
    yield reach(host, port)


def _advertised(kafka: Kafka, brokers: list[Broker]) -> Iterator[Finding]:
    """Clients connect to the names that the cluster gives, not to those of the configuration."""
    brokers = brokers[:BROKERS]
    for broker, one in zip(
        brokers, together([partial(_tried, one.host, one.port) for one in brokers], WITHIN + 1), strict=True
    ):
        if one.error is not None or not one.ended:
            yield problem(
                "broker's address of no use",
                f"broker {broker.id}",
                f"the cluster says that it is at {broker.host}:{broker.port}, which {one.error or 'does not answer'}",
                f"set advertised.listeners of that broker to an address that this machine can reach, as {kafka.bootstrap_servers} is",
            )


def _group(kafka: Kafka, group: str, found: Cluster) -> Iterator[Finding]:
    if found.group_refused or (found.group_allowed is not None and "READ" not in found.group_allowed):
        yield problem(
            "group forbidden",
            f"group {group}",
            "this user may not use the consumer group that holds the position",
            acl(kafka, ["Read"], f"--group {group}"),
        )


def _transactions(kafka: Kafka, transactional_id: str, *, works: bool) -> Iterator[Finding]:
    looked_at = f"transactional id {transactional_id}"
    if works:
        yield ok("transactions", "the service writes in them")
        return
    trouble, forbidden = try_transaction(kafka, f"{transactional_id}-doctor", WITHIN)
    if not trouble:
        yield ok("transactions", "can be begun")
    elif forbidden:
        yield warning(
            "transactions forbidden",
            looked_at,
            "this user may not begin transactions under an id that begins so; whether under this one itself cannot be tried "
            "without disturbing the service",
            acl(
                kafka,
                ["Describe", "Write"],
                f"--transactional-id {transactional_id} --resource-pattern-type prefixed",
            ),
        )
    else:
        yield problem(
            "transactions fail",
            looked_at,
            f"no transaction can be begun: {trouble}",
            "in a cluster of fewer than three brokers set transaction.state.log.replication.factor and transaction.state.log.min.isr "
            f"of the brokers to 1; transaction.max.timeout.ms must be {TRANSACTION_TIMEOUT * 1000:.0f} at least; or set "
            'kafka.delivery = "at-least-once"',
        )


def _broker_settings(looked_at: str, found: Cluster) -> Iterator[Finding]:
    said = found.settings
    if not said:
        return
    longest = _number(said.get("transaction.max.timeout.ms"))
    if longest is not None and longest < TRANSACTION_TIMEOUT * 1000:
        yield problem(
            "transactions too short",
            looked_at,
            f"the brokers allow transactions of {longest} ms, and the gateway needs {TRANSACTION_TIMEOUT * 1000:.0f} ms",
            "transaction.max.timeout.ms=900000 in server.properties",
        )
    kept = _number(said.get("offsets.retention.minutes"))
    if kept is not None and kept * 60_000 < DAY:
        yield warning(
            "position short-lived",
            looked_at,
            f"Kafka forgets the position of the gateway {span(kept * 60)} after the last delivery: a longer outage may repeat readings",
            "offsets.retention.minutes=10080 in server.properties",
        )


def _number(text: str | None) -> int | None:
    """The number; None if it is none."""
    try:
        return int(text or "")
    except ValueError:
        return None
