"""`gatewayctl doctor` names the fault and its fix: each fault is prepared as it would be met."""

from collections.abc import Callable
from typing import NamedTuple

import doctor_faults as prepare
import pytest
from doctoring import (
    named,
)
from fixtures_doctor import Bench, Say

from gateway.cli.doctor.finding import Severity


class Fault(NamedTuple):
    """A prepared fault, what doctor calls it, and words of what it says and of the fix."""

    prepare: Callable[[Bench], Say]
    severity: Severity
    name: str
    found: str
    fix: str


P, W, N = Severity.PROBLEM, Severity.WARNING, Severity.NOTE
FAULTS = [
    Fault(
        prepare.unknown_key,
        P,
        "configuration refused",
        "sources.sim.intervall: unknown key",
        "gatewayctl config check",
    ),
    Fault(
        prepare.open_secret,
        W,
        "secret readable by others",
        "everybody on this machine may read it",
        "chmod o-rwx",
    ),
    Fault(prepare.unreadable, P, "configuration unreadable", "user nobody", "chmod 640"),
    Fault(prepare.absent_port, P, "port absent", "there is no such port", "plug the adapter in"),
    Fault(prepare.held_port, P, "port in use", "sleep, process ", "end it"),
    Fault(prepare.forbidden_port, P, "port forbidden", "user nobody", "udev rule"),
    Fault(
        prepare.closed_port_of_broker,
        P,
        "broker unreachable",
        "refuses connections",
        "systemctl status mosquitto",
    ),
    Fault(prepare.unknown_name, P, "name unknown", "no name server", "getent hosts broker.invalid"),
    Fault(prepare.mute_broker, P, "broker refuses", "does not answer", "speaks MQTT there"),
    Fault(prepare.wrong_password, P, "broker refuses", "refuses user 'gw'", "password_file"),
    Fault(
        prepare.refused_topic, P, "topic refused", "'plant/{device}/{sensor}'", "access rules of the broker"
    ),
    Fault(prepare.small_queue, W, "queue small", "keeps 1000 messages", "max_queued_messages 100000"),
    Fault(prepare.small_window, W, "window small", "sends 20 messages ahead", "max_inflight_messages 2000"),
    Fault(prepare.forgetful_broker, W, "session in memory", "in memory only", "persistence true"),
    Fault(prepare.tls_without_tls, P, "broker refuses", "ended the connection", "speak TLS"),
    Fault(
        prepare.closed_port_of_kafka, P, "kafka unreachable", "refuses connections", "kafka.bootstrap_servers"
    ),
    Fault(prepare.mute_kafka, P, "kafka refuses", "accepts connections", "bootstrap_servers"),
    Fault(prepare.kafka_unknown_name, P, "name unknown", "no name server", "getent hosts kafka.invalid"),
    Fault(prepare.kafka_password, P, "kafka refuses", "uthentication failed", "password_file"),
    Fault(prepare.kafka_wants_tls, P, "kafka refuses", "speaks TLS and nothing else", "set tls in [kafka]"),
    Fault(prepare.kafka_strange_authority, P, "kafka refuses", "certificate is not trusted", "set tls.ca"),
    Fault(
        prepare.no_rights,
        P,
        "topic forbidden",
        "user stranger",
        "--operation Write --operation Read --operation Create --topic readings",
    ),
    Fault(
        prepare.no_rights,
        P,
        "group forbidden",
        "consumer group",
        "--operation Read --group gateway-cursor-pi-7",
    ),
    Fault(
        prepare.no_rights,
        W,
        "transactions forbidden",
        "may not begin transactions",
        "--transactional-id gateway-pi-7",
    ),
    Fault(
        prepare.compacted, P, "compaction loses records", "cleanup.policy is compact", "cleanup.policy=delete"
    ),
    Fault(
        prepare.settings_of_a_topic, P, "too few copies", "min.insync.replicas is 2", "min.insync.replicas=1"
    ),
    Fault(prepare.settings_of_a_topic, W, "kept shortly", "for 60 s", "retention.ms="),
    Fault(
        prepare.settings_of_a_topic,
        W,
        "batches too large",
        "max.message.bytes is 100000",
        "max.message.bytes=",
    ),
    Fault(prepare.settings_of_a_topic, W, "time of the sender", "CreateTime", "LogAppendTime"),
    Fault(prepare.missing_topic, P, "topic missing", "create_topics = false", "--create --topic nowhere"),
    Fault(prepare.few_partitions, P, "too few partitions", "it has 1 partitions, and", "--partitions 3"),
    Fault(prepare.full_disk, P, "disk full", "0 MB of 34 MB are free", "make room"),
    Fault(
        prepare.small_for_the_spool,
        W,
        "disk smaller than spool",
        "may take 100 MB more",
        "spool.disk_bytes = 26000000",
    ),
    Fault(prepare.small_for_the_spool, W, "disk forgets", "tmpfs", "gateway.state_dir"),
    Fault(prepare.read_only_disk, P, "disk read-only", "read-only", "remount,rw"),
    Fault(prepare.slow_disk, W, "disk slow", "400.0 ms in the median", "class A1/A2"),
    Fault(prepare.unset_clock, W, "clock not synchronised", "nothing has set it", "set-ntp true"),
    Fault(prepare.low_voltage, P, "undervoltage", "below 4.63 V now (get_throttled 0x50005)", "power supply"),
    Fault(prepare.low_voltage_alarm, P, "undervoltage", "below 4.63 V now", "power supply"),
    Fault(prepare.slowed_down, W, "throttled", "0x4", "heat sink"),
    Fault(prepare.slowed_down, W, "hot", "84 °C", "fan"),
    Fault(prepare.worn_card, W, "card worn", "100 % of its life", "new one"),
    Fault(prepare.damaged_file_system, P, "file system damaged", "7 errors", "fsck"),
    Fault(prepare.little_memory, W, "memory short", "31 MB of 440 MB", "ps -eo"),
    Fault(prepare.weak_wifi, W, "wifi weak", "-82 dBm", "antenna"),
    Fault(prepare.switched_off_wifi, W, "wifi off", "switched off", "rfkill unblock"),
    Fault(prepare.stale_socket, P, "socket stale", "left this socket behind", "systemctl restart"),
    Fault(prepare.no_daemon, P, "daemon not running", "does not run", "systemctl start"),
    Fault(prepare.failed_service, P, "service failed", "same id", "gateway.id"),
    Fault(prepare.restarting_service, W, "service restarts", "41 times", "journalctl"),
    Fault(prepare.restarting_service, W, "service not enabled", "does not start", "systemctl enable"),
    Fault(prepare.silent_source, P, "health", "no source yields readings", "gatewayctl status"),
    Fault(prepare.older_daemon, W, "daemon older than installed", "was installed", "systemctl restart"),
]


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault.prepare.__name__}-{fault.name}".replace(" ", "-")
)
def test_the_fault_is_named_with_its_fix(bench: Bench, fault: Fault) -> None:
    found = named(fault.prepare(bench)(), fault.name)

    assert found.severity is fault.severity, found
    assert fault.found in found.found, found
    assert fault.fix in found.fix, found


def test_what_is_in_the_table_is_enough() -> None:
    assert len({fault.prepare for fault in FAULTS}) >= 20
    assert len({fault.name for fault in FAULTS}) >= 20
