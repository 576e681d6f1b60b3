"""`gatewayctl doctor` names the fault and its fix: each fault is prepared as it would be met, and some fixes are done."""

import json
import os
import socket
import subprocess
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import distribution
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
    open_folder,
    said,
    sasl,
)
from fixtures_kafka import _require_kafka
from fixtures_mqtt import StartBroker
from kafka import KafkaServer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pty_port import SerialLine
from small_disk import fill, small_disk
from waiting import wait_until

from gateway.cli.doctor import checks, disk
from gateway.cli.doctor.finding import Finding, Severity
from gateway.cli.doctor.shown import as_json, lines
from gateway.cli.doctor.user import this_user
from gateway.cli.main import main
from gateway.testing_fs import FaultFiles

ROOT = Path("/")
SIZED = "max_queued_messages 100000\nmax_inflight_messages 2000"
TOPICS = {"dead-letters": "delete", "gateway-status": "compact"}


class Kafkas(NamedTuple):
    """One Kafka: the server, whom all may use at its bootstrap, and the address where users need rights."""

    server: KafkaServer
    guarded: str


class Bench(NamedTuple):
    """A place for a fault, and the servers that it may need."""

    place: Place
    request: pytest.FixtureRequest

    @property
    def kafka(self) -> Kafkas:
        found: Kafkas = self.request.getfixturevalue("kafkas")
        return found

    def broker(self, config: str = SIZED) -> mosquitto.Mosquitto:
        start: StartBroker = self.request.getfixturevalue("start_broker")
        return start(config)


@pytest.fixture(scope="module")
def kafkas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafkas]:
    _require_kafka()
    server, guarded = guarded_kafka(tmp_path_factory.mktemp("guarded"))
    try:
        server.start()
        for name, policy in TOPICS.items():
            server.create_topic(name, cleanup__policy=policy, message__timestamp__type="LogAppendTime")
        server.create_topic("readings", message__timestamp__type="LogAppendTime")
        yield Kafkas(server, guarded)
    finally:
        server.stop()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Bench]:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("GATEWAY_SOCKET", raising=False)
    with ExitStack() as stack:
        yield Bench(Place(tmp_path, stack), request)


def plant(port: int, more: str = "") -> str:
    return f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {port}\ntopics = ["plant/{{device}}/{{sensor}}"]\n{more}\n'


def line(port: object) -> str:
    return f'[sources.line]\nkind = "serial"\nport = "{port}"\n'


# Each prepares one fault, and returns what says the findings: again after the fix, where that is done.
Say = Callable[[], Sequence[Finding]]


def configured(
    bench: Bench, group: str, text: str, bootstrap: str = "127.0.0.1:9", root: Path | None = ROOT
) -> Say:
    bench.place.configure(text, bootstrap)
    return lambda: said(bench.place.here(root), group)


def unknown_key(bench: Bench) -> Say:
    return configured(bench, "configuration", "[sources.sim]\nkind = 'simulator'\nintervall = 3\n")


def open_secret(bench: Bench) -> Say:
    secret = bench.place.stack.enter_context(open_folder()) / "password"
    secret.write_text("secret")
    secret.chmod(0o644)
    return configured(bench, "configuration", plant(1883, f'username = "u"\npassword_file = "{secret}"'))


def unreadable(bench: Bench) -> Say:
    bench.place.systemctl(LoadState="loaded", ActiveState="active", User="nobody")
    return configured(bench, "configuration", SIMULATOR)


def absent_port(bench: Bench) -> Say:
    with SerialLine(bench.place.folder) as there:
        there.hang_up()
    return configured(bench, "serial", line(bench.place.folder / "usb-line"))


def held_port(bench: Bench) -> Say:
    there, here = os.openpty()
    name = os.ttyname(here)
    holder = subprocess.Popen(["sleep", "60"], stdin=here)
    os.close(here)
    bench.place.stack.callback(os.close, there)
    bench.place.stack.callback(holder.wait)
    bench.place.stack.callback(holder.kill)
    return configured(bench, "serial", line(name))


def forbidden_port(bench: Bench) -> Say:
    there, here = os.openpty()
    os.fchmod(here, 0o600)
    bench.place.stack.callback(os.close, there)
    bench.place.stack.callback(os.close, here)
    bench.place.systemctl(LoadState="loaded", ActiveState="active", User="nobody")
    return configured(bench, "serial", line(os.ttyname(here)))


def closed_port_of_broker(bench: Bench) -> Say:
    return configured(bench, "mqtt", plant(mosquitto.free_port()))


def unknown_name(bench: Bench) -> Say:
    return configured(bench, "mqtt", plant(1883).replace('"127.0.0.1"', '"broker.invalid"'))


def mute_broker(bench: Bench) -> Say:
    listening = bench.place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return configured(bench, "mqtt", plant(listening.getsockname()[1]))


def wrong_password(bench: Bench) -> Say:
    passwords = bench.place.folder / "passwords"
    mosquitto.password_file(passwords, "gw", "right")
    broker = bench.broker(f"allow_anonymous false\npassword_file {passwords}")
    return configured(bench, "mqtt", plant(broker.port, 'username = "gw"\npassword = "wrong"'))


def refused_topic(bench: Bench) -> Say:
    if not (plugin := mosquitto.dynamic_security()):
        pytest.skip("mosquitto's dynamic security plugin is missing; it comes with Debian's mosquitto")
    rules = bench.place.folder / "rules.json"
    rules.write_text('{"defaultACLAccess": {"subscribe": false}, "clients": [], "groups": [], "roles": []}')
    broker = bench.broker(f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {rules}")
    return configured(bench, "mqtt", plant(broker.port))


def small_queue(bench: Bench) -> Say:
    return configured(bench, "mqtt", plant(bench.broker("").port))


def small_window(bench: Bench) -> Say:
    return configured(bench, "mqtt", plant(bench.broker("").port, 'version = "3.1.1"'))


def forgetful_broker(bench: Bench) -> Say:
    """As one without persistence: the last word counts in its file."""
    return configured(bench, "mqtt", plant(bench.broker(f"{SIZED}\npersistence false").port))


def tls_without_tls(bench: Bench) -> Say:
    return configured(bench, "mqtt", plant(bench.broker().port, "tls = true"))


def closed_port_of_kafka(bench: Bench) -> Say:
    return configured(bench, "kafka", SIMULATOR, f"127.0.0.1:{mosquitto.free_port()}")


def mute_kafka(bench: Bench) -> Say:
    listening = bench.place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return configured(bench, "kafka", SIMULATOR, f"127.0.0.1:{listening.getsockname()[1]}")


def kafka_unknown_name(bench: Bench) -> Say:
    return configured(bench, "kafka", SIMULATOR, "kafka.invalid:9092")


def kafka_password(bench: Bench) -> Say:
    return configured(bench, "kafka", sasl("gateway", "wrong") + SIMULATOR, bench.kafka.guarded)


def no_rights(bench: Bench) -> Say:
    return configured(bench, "kafka", sasl("stranger") + SIMULATOR, bench.kafka.guarded)


def compacted(bench: Bench) -> Say:
    name = bench.request.getfixturevalue("topic")[:60]
    bench.kafka.server.create_topic(name, cleanup__policy="compact", message__timestamp__type="LogAppendTime")
    return configured(bench, "kafka", f'readings_topic = "{name}"\n{SIMULATOR}', bench.kafka.server.bootstrap)


def settings_of_a_topic(bench: Bench) -> Say:
    name = bench.request.getfixturevalue("topic")[:60]
    bench.kafka.server.create_topic(
        name, min__insync__replicas="2", retention__ms="60000", max__message__bytes="100000"
    )
    return configured(bench, "kafka", f'readings_topic = "{name}"\n{SIMULATOR}', bench.kafka.server.bootstrap)


def missing_topic(bench: Bench) -> Say:
    text = f'readings_topic = "nowhere"\ncreate_topics = false\n{SIMULATOR}'
    return configured(bench, "kafka", text, bench.kafka.server.bootstrap)


def few_partitions(bench: Bench) -> Say:
    name = bench.request.getfixturevalue("topic")[:60]
    bench.kafka.server.create_topic(name, 1)
    (bench.place.folder / "detect.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{bench.kafka.server.bootstrap}"\nstate_topic = "{name}"\nreadings_topic = "{name}-r"\n'
    )
    bench.kafka.server.create_topic(f"{name}-r", 3)
    return configured(
        bench, "kafka", f'readings_topic = "{name}-r"\n{SIMULATOR}', bench.kafka.server.bootstrap
    )


def full_disk(bench: Bench) -> Say:
    folder = bench.place.folder / "state"
    if os.geteuid():
        pytest.skip("only root can make a small disk")
    bench.place.stack.enter_context(small_disk(folder))
    fill(folder / "filler")
    return configured(bench, "disk", f"[spool]\ndisk_bytes = 100_000_000\n{SIMULATOR}")


def small_for_the_spool(bench: Bench) -> Say:
    folder = bench.place.folder / "state"
    if os.geteuid():
        pytest.skip("only root can make a small disk")
    bench.place.stack.enter_context(small_disk(folder))
    return configured(bench, "disk", f"[spool]\ndisk_bytes = 100_000_000\n{SIMULATOR}")


def read_only_disk(bench: Bench) -> Say:
    folder = bench.place.folder / "state"
    if os.geteuid():
        pytest.skip("only root can make a small disk")
    bench.place.stack.enter_context(small_disk(folder))
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    return configured(bench, "disk", SIMULATOR)


def slow_disk(bench: Bench) -> Say:
    clock, files = Clockwork(), FaultFiles()
    files.hook = lambda operation, _: clock.move(0.4 if operation == "datasync" else 0.0)
    return lambda: list(disk.fsync(bench.place.folder, this_user(), lambda _: files.open("x"), clock))


def unset_clock(bench: Bench) -> Say:
    bench.place.configure(SIMULATOR)
    return lambda: said(bench.place.here(synchronised=False), "clock")


def low_voltage(bench: Bench) -> Say:
    bench.place.write("sys/devices/platform/soc/soc:firmware/get_throttled", "50005")
    return configured(bench, "board", SIMULATOR, root=None)


def low_voltage_alarm(bench: Bench) -> Say:
    bench.place.write("sys/class/hwmon/hwmon1/name", "rpi_volt")
    bench.place.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    return configured(bench, "board", SIMULATOR, root=None)


def slowed_down(bench: Bench) -> Say:
    program = bench.place.folder / "bin" / "vcgencmd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho throttled=0x4\n")
    program.chmod(0o755)
    bench.place.write("sys/class/thermal/thermal_zone0/temp", "84100")
    return configured(bench, "board", SIMULATOR, root=None)


def worn_card(bench: Bench) -> Say:
    bench.place.write("sys/block/mmcblk0/device/life_time", "0x03 0x0a")
    bench.place.write("sys/block/mmcblk0/device/pre_eol_info", "0x02")
    return configured(bench, "board", SIMULATOR, root=None)


def damaged_file_system(bench: Bench) -> Say:
    bench.place.write("sys/fs/ext4/mmcblk0p2/errors_count", "7")
    return configured(bench, "board", SIMULATOR, root=None)


def little_memory(bench: Bench) -> Say:
    bench.place.write("proc/meminfo", "MemTotal:         440000 kB\nMemAvailable:      31000 kB")
    return configured(bench, "board", SIMULATOR, root=None)


def weak_wifi(bench: Bench) -> Say:
    heads = "Inter-| sta-|   Quality        |\n face | tus | link level noise |"
    bench.place.write(
        "proc/net/wireless",
        f"{heads}\n wlan0: 0000   28.  -82.  -256        0      0      0      0     12        0",
    )
    return configured(bench, "wifi", SIMULATOR, root=None)


def switched_off_wifi(bench: Bench) -> Say:
    bench.place.write("proc/net/route", "Iface\tDestination\tGateway")
    for name, text in {"type": "wlan", "soft": "1", "hard": "0"}.items():
        bench.place.write(f"sys/class/rfkill/rfkill0/{name}", text)
    return configured(bench, "wifi", SIMULATOR, root=None)


def stale_socket(bench: Bench) -> Say:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(bench.place.socket))
    return configured(bench, "service", SIMULATOR)


def no_daemon(bench: Bench) -> Say:
    return configured(bench, "service", SIMULATOR)


def failed_service(bench: Bench) -> Say:
    bench.place.systemctl(
        LoadState="loaded",
        ActiveState="failed",
        SubState="failed",
        Result="exit-code",
        ExecMainStatus="3",
        User="root",
    )
    return configured(bench, "service", SIMULATOR)


def restarting_service(bench: Bench) -> Say:
    bench.place.systemctl(
        LoadState="loaded",
        ActiveState="active",
        SubState="running",
        NRestarts="41",
        UnitFileState="disabled",
        User="root",
    )
    return configured(bench, "service", SIMULATOR)


def silent_source(bench: Bench) -> Say:
    broker = bench.broker()
    folder = bench.place.folder / "d"
    daemon = Daemon(folder, "127.0.0.1:9", plant(broker.port), "[health]\nsilent_after = 0.2\n")
    bench.place.stack.enter_context(daemon)
    wait_until(lambda: any("silent" in one for one in daemon.status()["reasons"]), "silence to show")
    bench.place.config = daemon.config
    return lambda: said(bench.place.here(ROOT), "service")


def older_daemon(bench: Bench) -> Say:
    daemon = Daemon(bench.place.folder / "d", "127.0.0.1:9", SIMULATOR)
    bench.place.stack.enter_context(daemon)
    bench.place.config = daemon.config
    wait_until(lambda: daemon.status()["gateway"]["uptime_s"] >= 0.3, "it to be older")
    metadata = next(one for one in distribution("iot-edge-gateway").files or [] if one.name == "METADATA")
    path = Path(str(metadata.locate()))
    path.chmod(path.stat().st_mode)  # to its file system as good as new
    return lambda: said(bench.place.here(ROOT), "versions")


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
        unknown_key,
        P,
        "configuration refused",
        "sources.sim.intervall: unknown key",
        "gatewayctl config check",
    ),
    Fault(open_secret, W, "secret readable by all", "sources.plant.password_file", "chmod o-rwx"),
    Fault(unreadable, P, "configuration unreadable", "user nobody", "chmod 640"),
    Fault(absent_port, P, "port absent", "there is no such port", "plug the adapter in"),
    Fault(held_port, P, "port in use", "sleep, process ", "end it"),
    Fault(forbidden_port, P, "port forbidden", "user nobody", "udev rule"),
    Fault(
        closed_port_of_broker, P, "broker unreachable", "refuses connections", "systemctl status mosquitto"
    ),
    Fault(unknown_name, P, "name unknown", "no name server", "getent hosts broker.invalid"),
    Fault(mute_broker, P, "broker refuses", "does not answer", "speaks MQTT there"),
    Fault(wrong_password, P, "broker refuses", "refuses user 'gw'", "password_file"),
    Fault(refused_topic, P, "topic refused", "'plant/{device}/{sensor}'", "access rules of the broker"),
    Fault(small_queue, W, "queue small", "keeps 1000 messages", "max_queued_messages 100000"),
    Fault(small_window, W, "window small", "sends 20 messages ahead", "max_inflight_messages 2000"),
    Fault(forgetful_broker, W, "session in memory", "in memory only", "persistence true"),
    Fault(tls_without_tls, P, "broker refuses", "ended the connection", "speak TLS"),
    Fault(closed_port_of_kafka, P, "kafka unreachable", "refuses connections", "kafka.bootstrap_servers"),
    Fault(mute_kafka, P, "kafka refuses", "accepts connections", "bootstrap_servers"),
    Fault(kafka_unknown_name, P, "name unknown", "no name server", "getent hosts kafka.invalid"),
    Fault(kafka_password, P, "kafka refuses", "uthentication failed", "sasl.password"),
    Fault(
        no_rights,
        P,
        "topic forbidden",
        "user stranger",
        "--operation Write --operation Read --operation Create --topic readings",
    ),
    Fault(no_rights, P, "group forbidden", "consumer group", "--operation Read --group gateway-cursor-pi-7"),
    Fault(
        no_rights,
        W,
        "transactions forbidden",
        "may not begin transactions",
        "--transactional-id gateway-pi-7",
    ),
    Fault(compacted, P, "compaction loses records", "cleanup.policy is compact", "cleanup.policy=delete"),
    Fault(settings_of_a_topic, P, "too few copies", "min.insync.replicas is 2", "min.insync.replicas=1"),
    Fault(settings_of_a_topic, W, "kept shortly", "for 60 s", "retention.ms="),
    Fault(settings_of_a_topic, W, "batches too large", "max.message.bytes is 100000", "max.message.bytes="),
    Fault(settings_of_a_topic, W, "time of the sender", "CreateTime", "LogAppendTime"),
    Fault(missing_topic, P, "topic missing", "create_topics = false", "--create --topic nowhere"),
    Fault(few_partitions, P, "too few partitions", "it has 1 partitions, and", "--partitions 3"),
    Fault(full_disk, P, "disk full", "0 MB of 34 MB are free", "make room"),
    Fault(
        small_for_the_spool,
        W,
        "disk smaller than spool",
        "may take 100 MB more",
        "spool.disk_bytes = 26000000",
    ),
    Fault(small_for_the_spool, W, "disk forgets", "tmpfs", "gateway.state_dir"),
    Fault(read_only_disk, P, "disk read-only", "read-only", "remount,rw"),
    Fault(slow_disk, W, "disk slow", "400.0 ms in the median", "class A1/A2"),
    Fault(unset_clock, W, "clock not synchronised", "nothing has set it", "set-ntp true"),
    Fault(low_voltage, P, "undervoltage", "below 4.63 V now (get_throttled 0x50005)", "power supply"),
    Fault(low_voltage_alarm, P, "undervoltage", "below 4.63 V now", "power supply"),
    Fault(slowed_down, W, "throttled", "0x4", "heat sink"),
    Fault(slowed_down, W, "hot", "84 °C", "fan"),
    Fault(worn_card, W, "card worn", "100 % of its life", "new one"),
    Fault(damaged_file_system, P, "file system damaged", "7 errors", "fsck"),
    Fault(little_memory, W, "memory short", "31 MB of 440 MB", "ps -eo"),
    Fault(weak_wifi, W, "wifi weak", "-82 dBm", "antenna"),
    Fault(switched_off_wifi, W, "wifi off", "switched off", "rfkill unblock"),
    Fault(stale_socket, P, "socket stale", "left this socket behind", "systemctl restart"),
    Fault(no_daemon, P, "daemon not running", "does not run", "systemctl start"),
    Fault(failed_service, P, "service failed", "same id", "gateway.id"),
    Fault(restarting_service, W, "service restarts", "41 times", "journalctl"),
    Fault(restarting_service, W, "service not enabled", "does not start", "systemctl enable"),
    Fault(silent_source, P, "health", "no source yields readings", "gatewayctl status"),
    Fault(older_daemon, W, "daemon older than installed", "was installed", "systemctl restart"),
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


# The fix that is named, done as it is named.


def test_a_command_that_mends_a_file_mends_it(bench: Bench) -> None:
    say = open_secret(bench)
    do_shell(named(say(), "secret readable by all").fix)

    assert "secret readable by all" not in names(say())


def test_rights_that_are_given_as_said_are_enough_for_the_gateway_itself(bench: Bench) -> None:
    say = configured(bench, "kafka", sasl("gateway") + SIMULATOR, bench.kafka.guarded)
    found = say()
    for one in found:
        if "forbidden" in one.name:
            do_acls(one.fix, bench.kafka.server.bootstrap)
    wait_until(lambda: max(one.severity for one in say()) <= N, "the rights to be there")

    text = sasl("gateway") + SIMULATOR
    with Daemon(bench.place.folder / "d", bench.kafka.guarded, text) as daemon:
        wait_until(lambda: daemon.status()["kafka"]["last_delivery_age_s"] is not None, "a delivery")


def test_a_topic_is_as_wanted_once_all_that_is_said_is_done(bench: Bench) -> None:
    say = settings_of_a_topic(bench)
    fixes = [one.fix.partition("; ")[0] for one in say() if "--add-config" in one.fix]
    assert len(fixes) == 4
    command = fixes[0].partition(" --add-config ")[0]
    settings = ",".join(fix.partition(" --add-config ")[2] for fix in fixes)
    do_configs(f"{command} --add-config {settings}")  # one start of Java in place of four

    wait_until(lambda: max(one.severity for one in say()) <= N, "the settings to hold")


def test_a_broker_with_the_lines_that_are_said_is_well(bench: Bench) -> None:
    broker = bench.broker("")
    say = configured(bench, "mqtt", plant(broker.port, 'version = "3.1.1"'))
    for name in ("queue small", "window small"):
        added, _, file = named(say(), name).fix.partition(" in ")
        with Path(file.partition(";")[0].partition(",")[0]).open("a") as config:
            config.write(f"{added}\n")
    broker.stop()
    broker.start()

    assert max(one.severity for one in say()) <= N


def test_a_daemon_that_was_restarted_is_the_one_installed(bench: Bench) -> None:
    say = older_daemon(bench)
    assert "daemon older than installed" in names(say())
    with Daemon(bench.place.folder / "d2", "127.0.0.1:9", SIMULATOR) as daemon:
        bench.place.config = daemon.config

        assert "daemon older than installed" not in names(say())


def test_of_two_brokers_on_this_machine_each_is_judged_by_its_own_file(bench: Bench) -> None:
    small, sized = bench.broker(""), bench.broker()
    text = plant(small.port) + plant(sized.port).replace("[sources.plant]", "[sources.other]")

    found = [one for one in configured(bench, "mqtt", text)() if one.severity]

    assert [(one.name, one.looked_at.split(",")[0]) for one in found] == [("queue small", "source plant")]


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
def test_no_session_is_left_at_a_broker(bench: Bench, version: MQTTProtocolVersion) -> None:
    broker = bench.broker()
    new = version is MQTTProtocolVersion.MQTTv5
    more = "" if new else 'version = "3.1.1"'
    found = configured(bench, "mqtt", plant(broker.port, more))()
    assert max(one.severity for one in found) <= N
    kept: list[bool] = []
    client = Client(
        CallbackAPIVersion.VERSION2,
        "pi-7:plant:doctor",
        clean_session=None if new else False,
        protocol=version,
    )
    client.on_connect = lambda _client, _data, flags, _code, _properties: kept.append(flags.session_present)
    if new:
        client.connect("127.0.0.1", broker.port, clean_start=False)
    else:
        client.connect("127.0.0.1", broker.port)
    wait_until(lambda: client.loop(0.01) == 0 and kept, "an answer")
    client.disconnect()

    assert kept == [False]


# The whole.


def names(found: Sequence[Finding]) -> set[str]:
    return {one.name for one in found}


def test_where_all_is_well_nothing_is_worse_than_a_note_and_the_service_is_not_disturbed(
    bench: Bench,
) -> None:
    there, here = os.openpty()
    tty.setraw(here)
    port = os.ttyname(here)
    os.close(here)
    bench.place.stack.callback(os.close, there)
    broker, folder = bench.broker(), bench.place.folder / "d"
    sources = f"{plant(broker.port)}{line(port)}{SIMULATOR}"
    with Daemon(folder, bench.kafka.server.bootstrap, sources) as daemon:
        wait_until(lambda: all(daemon.state(one) == "connected" for one in ("plant", "line")), "the sources")
        os.write(there, b"t=1\n")
        broker.publish("plant/boiler/t", "1")
        wait_until(lambda: daemon.delivered("plant") and daemon.delivered("line"), "deliveries")
        before = daemon.status()
        bench.place.config = daemon.config
        found = checks.findings(bench.place.here(ROOT))
        after = daemon.status()

    amiss = [one for one in found if one.finding.severity > N]
    assert not amiss, "\n".join(lines(found, colour=False))
    assert {one.group for one in found} >= {
        "configuration",
        "service",
        "versions",
        "serial",
        "mqtt",
        "kafka",
        "disk",
        "clock",
    }
    connects = [[one["counts"].get("connects") for one in status["sources"]] for status in (before, after)]
    assert connects[0] == connects[1], "a source had to connect again"
    assert after["health"] == "healthy", after["reasons"]
    assert not daemon.events("kafka producer rebuilt")
    assert json.loads(json.dumps(as_json(found, 1.0)))["worst"] in {"ok", "note"}


def test_where_nothing_answers_it_ends_in_time(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    listening = bench.place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    mute = listening.getsockname()[1]
    stuck = f"{plant(mute)}{plant(mute).replace('plant]', 'plant-2]')}{SIMULATOR}"
    bench.place.configure(stuck, f"127.0.0.1:{mute},127.0.0.1:{mosquitto.free_port()}")

    code = main(["doctor", "--json", "--config", str(bench.place.config)])

    report = json.loads(capsys.readouterr().out)
    assert code == 2
    assert report["took_s"] < 15
    assert {"broker refuses", "kafka refuses", "kafka unreachable"} <= {
        one["name"] for one in report["findings"]
    }


def test_a_refused_configuration_is_the_first_thing_said_and_the_rest_is_looked_at(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.place.configure("nonsense = 1\n")

    assert main(["doctor", "--config", str(bench.place.config)]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("problem   configuration: gateway.toml: ")
    assert "          fix: correct it" in shown
    assert (
        "not looked at, for want of a configuration: clock, configuration, disk, kafka, mqtt, serial" in shown
    )


def test_an_ordinary_user_is_told_what_could_not_be_looked_at_and_how_to_let_it(bench: Bench) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    folder = bench.place.stack.enter_context(open_folder())
    bench.place.config = folder / "closed" / "gateway.toml"
    bench.place.config.parent.mkdir(mode=0o700)
    (folder / "state").mkdir(mode=0o700)
    bench.place.configure(SIMULATOR)
    text = bench.place.config.read_text().replace(str(bench.place.folder), str(folder))
    bench.place.config.write_text(text)
    open_config = folder / "gateway.toml"
    open_config.write_text(text)
    os.seteuid(65534)
    bench.place.stack.callback(os.seteuid, 0)

    found = [
        one
        for group in ("configuration", "disk", "serial", "clock")
        for one in said(bench.place.here(ROOT), group)
    ]
    assert named(found, "not permitted").fix == "sudo gatewayctl doctor"
    bench.place.config = open_config
    found = [
        one for group in ("configuration", "disk", "service") for one in said(bench.place.here(ROOT), group)
    ]
    assert named(found, "disk not tried").fix.startswith("sudo gatewayctl doctor")
    assert "check failed" not in names(found)
