"""Faults of a gateway, each prepared as it would be met. What each returns says what doctor finds."""

import os
import socket
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import mosquitto
import pytest
from daemon import Daemon
from doctoring import (
    SIMULATOR,
    Clockwork,
    open_folder,
    said,
    sasl,
)
from fixtures_doctor import ROOT, SIZED, Bench, Say, configured, line, plant
from pty_port import SerialLine
from secure_kafka import SecureKafka
from small_disk import fill, small_disk
from waiting import wait_until

from gateway.cli.doctor import disk
from gateway.cli.doctor.user import this_user
from gateway.testing_fs import FaultFiles


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


def kafka_wants_tls(bench: Bench) -> Say:
    server: SecureKafka = bench.request.getfixturevalue("secure_kafka")
    return configured(bench, "kafka", SIMULATOR, server.at("TLS"))


def kafka_strange_authority(bench: Bench) -> Say:
    server: SecureKafka = bench.request.getfixturevalue("secure_kafka")
    return configured(
        bench, "kafka", f'tls = {{ ca = "{server.stranger.ca}" }}\n{SIMULATOR}', server.at("TLS")
    )


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
