"""The parts of doctor that need no server: topics of larger clusters, permissions, deadlines, and what is shown."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doctoring import open_folder

from gateway.cli.doctor import checks, configuration, ports
from gateway.cli.doctor.board import power
from gateway.cli.doctor.checks import Check, Found
from gateway.cli.doctor.disk import mount_of
from gateway.cli.doctor.finding import Finding, Severity, note, ok, problem, warning
from gateway.cli.doctor.here import Here, Unit, look_around
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.shown import EXIT_CODES, lines, worst
from gateway.cli.doctor.together import together
from gateway.cli.doctor.topics import Wanted, topic
from gateway.cli.doctor.user import READ, WRITE, User
from gateway.config import GatewayConfig, Kafka
from gateway.kafka.look import Broker, Cluster, TopicSeen

WELL = TopicSeen(
    missing=False, partitions=6, replicas=3, in_sync=3,
    settings={"min.insync.replicas": "2", "cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"},
)  # fmt: skip


def of_topic(seen: TopicSeen, brokers: int = 3) -> list[str]:
    cluster = Cluster(
        [Broker(n, "k", 9092) for n in range(brokers)], None, {"readings": seen}, False, None, {}
    )
    wanted = Wanted("readings", compacted=False, rights=("Write",), clock_unset=True)
    return [one.name for one in topic(Kafka(), wanted, cluster) if one.severity]


@pytest.mark.parametrize(
    ("changes", "settings", "name"),
    [
        ({"leaderless": 2}, {}, "partitions without leader"),
        ({"in_sync": 1}, {}, "copies behind"),
        ({}, {"min.insync.replicas": "4"}, "too few copies"),
        ({}, {"min.insync.replicas": "3"}, "no broker to spare"),
        ({}, {"min.insync.replicas": "1"}, "one copy is enough"),
        ({"replicas": 1, "in_sync": 1}, {"min.insync.replicas": "1"}, "one copy"),
        ({}, {"unclean.leader.election.enable": "true"}, "leader behind allowed"),
        ({"allowed": frozenset({"READ", "DESCRIBE"})}, {}, "topic forbidden"),
    ],
)
def test_each_fault_of_a_topic_in_a_cluster_is_named_and_no_other(
    changes: dict[str, Any], settings: dict[str, str], name: str
) -> None:
    assert of_topic(WELL) == []
    assert of_topic(WELL._replace(**changes, settings={**WELL.settings, **settings})) == [name]


def test_a_single_broker_is_not_asked_for_more_copies() -> None:
    one = WELL._replace(replicas=1, in_sync=1, settings={**WELL.settings, "min.insync.replicas": "1"})

    assert of_topic(one, brokers=1) == []


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


def test_permissions_are_judged_as_of_the_user_and_not_of_who_asks(folder: Path) -> None:
    path = folder / "file"
    path.touch()
    found = path.stat()
    owner = User("owner", found.st_uid or 12345, frozenset())
    member, stranger = User("member", 54321, frozenset({found.st_gid})), User("stranger", 54321, frozenset())

    path.chmod(0o640)
    assert member.may(path, READ)
    assert not member.may(path, READ | WRITE)
    assert not stranger.may(path, READ)
    path.chmod(0o604)
    assert stranger.may(path, READ)
    assert not member.may(path, READ), "the rights of the group count, not those of all"
    assert User("root", 0, frozenset()).may(path, READ | WRITE)
    assert owner.may(path, READ)
    folder.chmod(0o700)
    assert not stranger.may(path, READ), "the folder is closed to it"


def test_what_hangs_is_not_waited_for_and_what_it_said_before_is_kept() -> None:
    never = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        never.wait()

    def fails() -> Iterator[int]:
        yield 2
        raise ValueError("x")

    slow, broken = together([hangs, fails], 0.05)
    never.set()

    assert (slow.items, slow.ended) == ([1], False)
    assert (broken.items, broken.ended, str(broken.error)) == ([2], True, "x")


def at(folder: Path) -> Here:
    path = folder / "gateway.toml"
    path.write_text(f'[control]\nsocket = "{folder / "d.sock"}"\n[sources.sim]\nkind = "simulator"\n')
    return look_around(path, "", Machine(folder))


def test_a_check_that_fails_itself_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Here) -> Iterator[Finding]:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(
        checks, "CHECKS", (Check("one", fails), Check("two", lambda _: iter([ok("it", "is")])))
    )
    found = checks.findings(at(tmp_path))

    assert [(one.group, one.finding.name) for one in found] == [("one", "check failed"), ("two", "")]
    assert "ZeroDivisionError: of ours" in found[0].finding.found


def test_the_worst_comes_first_and_decides_the_exit_code() -> None:
    found = [
        Found("a", ok("one", "is well")),
        Found("a", note("n", "two", "is so")),
        Found("b", problem("p", "three", "is bad", "do it")),
    ]

    shown = list(lines(found, colour=False))
    assert shown[:2] == ["problem   b: three: is bad", "          fix: do it"]
    assert shown[-3:] == ["ok        a: one is well", "", "1 problem, 0 warnings, 1 note"]
    assert EXIT_CODES[worst(found)] == 2
    assert EXIT_CODES[worst(found[:2])] == 0
    assert EXIT_CODES[worst([Found("a", warning("w", "it", "may", "do"))])] == 1
    assert EXIT_CODES[worst([])] == 0


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_command() -> None:
    found = [Found("a", problem("p", "broker \x1b[2J", "says\nok all is well", "\x07"))]

    shown = list(lines(found, colour=False))
    assert all(line.isprintable() for line in shown)
    assert not any(line.startswith("ok") for line in shown)


def test_the_file_system_is_the_one_mounted_last_and_deepest(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        "22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n"
        "30 22 0:30 / /var/lib\\040x ro - tmpfs tmpfs rw\n"
        "31 22 0:31 / /var/lib\\040x/gateway rw - overlay overlay ro,lowerdir=/\n"
    )
    machine = Machine(tmp_path)

    assert mount_of(Path("/var/log"), machine) == ("/", "ext4", "/dev/mmcblk0p2", False)
    assert mount_of(Path("/var/lib x/y"), machine)[1:] == ("tmpfs", "tmpfs", True)
    assert mount_of(Path("/var/lib x/gateway/spool"), machine)[1:] == ("overlay", "overlay", True)


def test_a_voltage_that_was_low_once_is_a_warning_and_none_is_well(tmp_path: Path) -> None:
    file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    assert list(power(Machine(tmp_path))) == [], "no Raspberry Pi"
    file.parent.mkdir(parents=True)
    file.write_text("50000\n")
    assert [one.severity for one in power(Machine(tmp_path))] == [Severity.WARNING]
    file.write_text("0\n")
    assert [one.severity for one in power(Machine(tmp_path))] == [Severity.OK]


def test_a_secret_within_the_configuration_is_one_too(folder: Path) -> None:
    path = folder / "gateway.toml"
    path.write_text('[kafka.options]\n"sasl.password" = "x"\n[sources.sim]\nkind = "simulator"\n')

    path.chmod(0o644)
    [found] = [one for one in configuration.accepted(path) if one.severity is Severity.WARNING]
    assert found.looked_at == str(path)
    assert found.fix == f"sudo chmod o-rwx {path}"
    path.chmod(0o640)
    assert all(one.severity < Severity.WARNING for one in configuration.accepted(path))


def test_a_container_whose_terminal_has_the_name_of_our_port_does_not_hold_it(tmp_path: Path) -> None:
    there = tmp_path / "dev/pts/0"
    there.parent.mkdir(parents=True)
    there.touch()
    for pid, target in ((7, "/dev/pts/0"), (8, "/dev/null")):
        (tmp_path / f"proc/{pid}/fd").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/comm").write_text("agetty\n")
        (tmp_path / f"proc/{pid}/fd/0").symlink_to(target)
    config = GatewayConfig(sources={"line": {"kind": "serial", "port": "/dev/pts/0"}})

    found = ports.ports(config, Machine(tmp_path), User("root", 0, frozenset()), Unit("gateway.service", {}))

    assert [one.severity for one in found] == [Severity.OK]


def test_help_loads_nothing_that_takes_long() -> None:
    slow = ["confluent_kafka", "paho", "serial", "structlog", "msgspec"]
    program = (
        "import sys; from gateway.cli.main import parser; parser(['doctor']).format_help(); "
        f"sys.exit(' '.join(name for name in {slow!r} if sys.modules.get(name)) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr.strip()) == (0, ""), "loads what it does not need"
