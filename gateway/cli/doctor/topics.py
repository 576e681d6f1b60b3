"""Topics of Kafka: whether they are there, who may write to them, and whether their settings keep what is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.cli.doctor.finding import Finding, Severity, note, ok, problem, warning
from gateway.config import Kafka
from gateway.kafka.look import Cluster, TopicSeen
from gateway.spans import span

BATCH: Final = 1_000_000
"""Bytes of our batches at most: `batch.size` of gateway.kafka.producing."""

HOUR: Final = 3_600_000
SEVERAL: Final = 3
"""Brokers with which more copies than one are usual."""


class Wanted(NamedTuple):
    """A topic, and what is needed of it.

    Attributes:
        name: of it.
        compacted: whether only the last record of each key is to be kept; None: either will do.
        rights: what is done with it: Read, Write.
        as_many_as: a topic that is wanted too, and has no more partitions than this one should have.
        clock_unset: whether what is written may bear the time of a clock that nobody set.
    """

    name: str
    compacted: bool | None
    rights: tuple[str, ...]
    as_many_as: str = ""
    clock_unset: bool = False


def topic(kafka: Kafka, wanted: Wanted, cluster: Cluster) -> Iterator[Finding]:
    """One topic."""
    seen = cluster.topics[wanted.name]
    looked_at = f"topic {wanted.name}"
    if seen.missing:
        yield from _missing(kafka, looked_at, wanted, seen, cluster)
        return
    findings = [
        *_rights(kafka, looked_at, wanted, seen),
        *_copies(kafka, looked_at, wanted, seen, len(cluster.brokers)),
        *_partitions(kafka, looked_at, wanted, cluster),
        *_settings(kafka, looked_at, wanted, seen),
    ]
    if not seen.settings:
        findings.append(
            note(
                "settings not seen",
                looked_at,
                "this user may not read its settings, so they were not looked at",
                acl(kafka, ["DescribeConfigs"], f"--topic {wanted.name}"),
            )
        )
    if all(one.severity <= Severity.NOTE for one in findings):
        yield ok(wanted.name, f"{seen.partitions} partition(s), {seen.replicas} copies")
    yield from findings


def _missing(
    kafka: Kafka, looked_at: str, wanted: Wanted, seen: TopicSeen, cluster: Cluster
) -> Iterator[Finding]:
    may_create = not seen.hidden and (cluster.allowed is None or "CREATE" in cluster.allowed)
    if kafka.create_topics and may_create:
        yield ok(wanted.name, "is made at the first start")
    elif seen.hidden:
        rights = [*wanted.rights, *(["Create"] if kafka.create_topics else [])]
        found = f"there is none that user {_user(kafka) or '(anonymous)'} may know of"
        yield problem("topic forbidden", looked_at, found, acl(kafka, rights, f"--topic {wanted.name}"))
    else:
        cleanup = " --config cleanup.policy=compact" if wanted.compacted else ""
        why = "kafka.create_topics = false" if not kafka.create_topics else "this user may not make topics"
        yield problem(
            "topic missing",
            looked_at,
            f"there is none, and {why}",
            f"kafka-topics.sh --bootstrap-server {kafka.bootstrap_servers} --create --topic {wanted.name} "
            f"--partitions {kafka.partitions or 6} --config message.timestamp.type=LogAppendTime{cleanup}",
        )


def _rights(kafka: Kafka, looked_at: str, wanted: Wanted, seen: TopicSeen) -> Iterator[Finding]:
    lacking = [one for one in wanted.rights if seen.allowed is not None and one.upper() not in seen.allowed]
    if lacking:
        may = ", ".join(sorted(one.lower() for one in seen.allowed or ())) or "nothing"
        found = f"this user may not {' and '.join(one.lower() for one in lacking)} there (allowed: {may})"
        yield problem("topic forbidden", looked_at, found, acl(kafka, lacking, f"--topic {wanted.name}"))


def _copies(kafka: Kafka, looked_at: str, wanted: Wanted, seen: TopicSeen, brokers: int) -> Iterator[Finding]:
    needed = int(seen.settings.get("min.insync.replicas", "0"))
    if seen.leaderless:
        yield problem(
            "partitions without leader",
            looked_at,
            f"{seen.leaderless} of {seen.partitions} partitions have no leader, so nothing can be written there",
            "start the brokers that hold them: kafka-topics.sh --describe --unavailable-partitions",
        )
    if needed > seen.replicas:
        yield problem(
            "too few copies",
            looked_at,
            f"min.insync.replicas is {needed} and there are {seen.replicas} copies, so nothing can ever be written there",
            alter(kafka, wanted.name, f"min.insync.replicas={max(1, seen.replicas - 1)}"),
        )
    elif needed > seen.in_sync:
        yield problem(
            "copies behind",
            looked_at,
            f"{seen.in_sync} copies are up to date and min.insync.replicas is {needed}, so nothing can be written now",
            "start the brokers that are away, or wait until they have caught up: kafka-topics.sh --describe --under-min-isr-partitions",
        )
    elif needed == seen.replicas > 1:
        yield warning(
            "no broker to spare",
            looked_at,
            f"min.insync.replicas is {needed} of {seen.replicas} copies, so one broker that is away stops all writing",
            alter(kafka, wanted.name, f"min.insync.replicas={needed - 1}"),
        )
    elif needed == 1 < seen.replicas:
        yield warning(
            "one copy is enough",
            looked_at,
            f"min.insync.replicas is 1 of {seen.replicas} copies: what only one broker has counts as delivered, and is lost with it",
            alter(kafka, wanted.name, "min.insync.replicas=2"),
        )
    elif seen.replicas == 1 and brokers >= SEVERAL:
        yield warning(
            "one copy",
            looked_at,
            f"it has 1 copy in a cluster of {brokers} brokers: one disk that fails loses it, one broker that is away stops all writing",
            "give it more copies with kafka-reassign-partitions.sh; set kafka.replication = 3 for those that are still to be made",
        )


def _partitions(kafka: Kafka, looked_at: str, wanted: Wanted, cluster: Cluster) -> Iterator[Finding]:
    has = cluster.topics[wanted.name].partitions
    needed = cluster.topics[wanted.as_many_as].partitions if wanted.as_many_as else 0
    if has < needed:
        yield problem(
            "too few partitions",
            looked_at,
            f"it has {has} partitions, and {wanted.as_many_as} has {needed}",
            f"kafka-topics.sh --bootstrap-server {kafka.bootstrap_servers} --alter --topic {wanted.name} --partitions {needed}",
        )


def _settings(kafka: Kafka, looked_at: str, wanted: Wanted, seen: TopicSeen) -> Iterator[Finding]:
    said = seen.settings
    if not said:
        return
    compacted = "compact" in said.get("cleanup.policy", "")
    if wanted.compacted is False and compacted:
        yield problem(
            "compaction loses records",
            looked_at,
            f"cleanup.policy is {said['cleanup.policy']}: of each device only the last record is kept",
            alter(kafka, wanted.name, "cleanup.policy=delete"),
        )
    if wanted.compacted and not compacted:
        yield warning(
            "not compacted",
            looked_at,
            f"cleanup.policy is {said.get('cleanup.policy')}: what is written rarely is gone after {_time(said.get('retention.ms'))}, and is still needed",
            alter(kafka, wanted.name, "cleanup.policy=compact"),
        )
    if wanted.clock_unset and said.get("message.timestamp.type") == "CreateTime":
        yield warning(
            "time of the sender",
            looked_at,
            "message.timestamp.type is CreateTime: while the clock of a gateway is not set, what it sends may expire at once or be refused",
            alter(kafka, wanted.name, "message.timestamp.type=LogAppendTime"),
        )
    yield from _limits(kafka, looked_at, wanted, said)


def _limits(kafka: Kafka, looked_at: str, wanted: Wanted, said: Mapping[str, str]) -> Iterator[Finding]:
    batch = int(kafka.options.get("batch.size", BATCH))
    limit = int(said.get("max.message.bytes", batch))
    if limit < batch:
        yield warning(
            "batches too large",
            looked_at,
            f"max.message.bytes is {limit}, and batches of the gateway hold up to {batch} bytes before compression",
            f'{alter(kafka, wanted.name, "max.message.bytes=1048588")}; or set "batch.size" = {limit} in [kafka.options]',
        )
    kept = int(said.get("retention.ms", "-1"))
    if 0 <= kept < HOUR and "delete" in said.get("cleanup.policy", ""):
        yield warning(
            "kept shortly",
            looked_at,
            f"it keeps what is written for {_time(said.get('retention.ms'))}: who reads it may not be away longer",
            alter(kafka, wanted.name, "retention.ms=604800000"),
        )
    if said.get("unclean.leader.election.enable") == "true":
        yield warning(
            "leader behind allowed",
            looked_at,
            "unclean.leader.election.enable is true: a copy that is behind may become the leader, and what it lacks is lost",
            alter(kafka, wanted.name, "unclean.leader.election.enable=false"),
        )


def _time(milliseconds: str | None) -> str:
    return span(int(milliseconds or 0) / 1000)


def alter(kafka: Kafka, name: str, setting: str) -> str:
    """The command that changes a setting of a topic."""
    return (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers} --alter --entity-type topics --entity-name {name} "
        f"--add-config {setting}"
    )


def acl(kafka: Kafka, operations: Sequence[str], resource: str) -> str:
    """The command that gives this user rights."""
    user = _user(kafka) or "NAME"
    wanted = " ".join(f"--operation {one}" for one in operations)
    return f"kafka-acls.sh --bootstrap-server {kafka.bootstrap_servers} --add --allow-principal User:{user} {wanted} {resource}"


def _user(kafka: Kafka) -> str:
    """Who we are to the brokers, if a setting says it: who comes with a certificate or a token is named by them."""
    return kafka.username or str(kafka.options.get("sasl.username", ""))
