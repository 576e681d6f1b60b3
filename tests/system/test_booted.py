"""The installed package under a real systemd: a booted Debian 12, a real Kafka, a real MQTT broker, a real serial line.

Kafka and the broker run on the machine of the tests; the container has their network and all else for itself.
"""

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from booted import Booted
from fixtures_debian import NAME
from fixtures_mqtt import StartBroker
from kafka import KafkaServer, free_ports
from mosquitto import Mosquitto
from numbered import Numbers, missing_and_repeated
from service import Service
from waiting import wait_until

UNIT = "gateway.service"
SIMULATOR = '[sources.simulator]\nkind = "simulator"\ninterval = 0.1\n'


@pytest.fixture
def broker(start_broker: StartBroker) -> Mosquitto:
    """A broker that keeps all that comes while the gateway is away, as config/mosquitto.conf has it."""
    return start_broker("max_queued_messages 0\n")


def mqtt(broker: Mosquitto, more: str = "") -> str:
    return f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
topics = ["plant/{{device}}/{{sensor}}"]
{more}
"""


def test_a_package_that_apt_installs_runs_at_once_and_after_a_power_cut_and_a_purge_leaves_nothing(
    unbooted: Booted, deb: Path, kafka: KafkaServer, topic: str
) -> None:
    with unbooted as machine:
        before = set(machine.files())
        said = machine.run("apt-get", "--yes", "install", machine.bring(deb))

        assert machine.show(UNIT, "ActiveState") == "active", said
        assert machine.show(UNIT, "UnitFileState") == "enabled"
        assert machine.show(UNIT, "NRestarts") == "0"
        service = Service(machine, kafka, topic)
        service.until("simulator", "made", 9)
        service.configure("")  # but for the simulator, which stays
        machine.cut_power()
        machine.boot()
        assert machine.show(UNIT, "ActiveState") == "active"
        assert service.status()["gateway"]["id"] == service.id
        service.until("simulator", "delivered", 9)
        service.verify()

        machine.write("/etc/gateway/detect.d/50-site.toml", service.topics())
        machine.systemctl("enable", "--now", "gateway-detect.service")
        machine.run("apt-get", "--yes", "purge", NAME)
        assert "gateway" not in machine.run("systemctl", "list-units", "--all", "--plain", "*gateway*")
        assert machine.programs() & {"gatewayd", "gateway-detect"} == set()
        assert [name for name in set(machine.files()) - before if "gateway" in name] == []


def test_readings_of_a_simulator_and_of_a_serial_line_arrive_in_kafka(service: Service) -> None:
    with service.machine.serial_line() as (port, say):
        service.configure(f'{SIMULATOR}[sources.line]\nkind = "serial"\nport = "{port}"\n')
        service.start()
        service.await_source("line")
        say(b"t=21.5\nt=22.5\n")
        service.until("line", "delivered", 2)
        service.until("simulator", "delivered", 90)
        service.machine.systemctl("stop", UNIT)

    found = service.records()
    assert [one.value for one in found if one.source == "line"] == [21.5, 22.5]
    assert len({one.device for one in found if one.source == "simulator"}) == 3
    service.verify()


def test_the_journal_is_asked_by_what_an_entry_is_of(service: Service, broker: Mosquitto) -> None:
    service.kafka.create_topic(service.readings, max__message__bytes="1500")
    service.configure(mqtt(broker))
    service.start()
    service.await_source("plant")
    broker.publish("plant/boiler-7/name", json.dumps(secrets.token_urlsafe(3000)))
    broker.publish("plant/boiler-8/count", "1")
    service.until("plant", "delivered", 1)

    own = f"_SYSTEMD_INVOCATION_ID={service.machine.show(UNIT, 'InvocationID')}"
    found = wait_until(
        lambda: service.machine.journal(own, "EVENT=reading refused by kafka", "DEVICE=boiler-7"), "the entry"
    )
    assert [(one["SOURCE"], one["SENSOR"], one["PRIORITY"]) for one in found] == [("plant", "name", "3")]
    assert service.machine.journal(own, f"SEQ={found[0]['SEQ']}", "SENSOR=name") == found
    assert service.machine.journal(own, "DEVICE=boiler-8") == []
    (connected,) = service.machine.journal(own, "SOURCE=plant", "EVENT=source connected")
    assert (connected["SYSLOG_IDENTIFIER"], connected["_SYSTEMD_UNIT"]) == ("gatewayd", UNIT)


def test_after_kill_9_systemd_starts_it_again_and_nothing_is_lost_or_repeated(
    service: Service, broker: Mosquitto
) -> None:
    service.configure(mqtt(broker))
    service.start()
    service.await_source("plant")
    with Numbers(broker, 500) as numbers:
        for number in (1, 2):
            service.until("plant", "delivered", numbers.sent + 100)
            os.kill(service.machine.outer(UNIT), signal.SIGKILL)
            service.await_restart(number)
        service.until("plant", "delivered", numbers.sent + 100)

    all_once(service, numbers.sent)
    assert service.status()["ledger"]["unclean_stops"] == 2
    service.verify()


def test_an_upgrade_under_load_loses_and_repeats_nothing(
    service: Service, broker: Mosquitto, newer: Path
) -> None:
    service.configure(mqtt(broker))
    service.start()
    service.await_source("plant")
    invocation = service.machine.show(UNIT, "InvocationID")
    with Numbers(broker, 500) as numbers:
        service.until("plant", "delivered", 500)
        service.machine.run("apt-get", "--yes", "install", service.machine.bring(newer))
        assert service.machine.show(UNIT, "InvocationID") != invocation
        service.until("plant", "delivered", numbers.sent)

    all_once(service, numbers.sent)
    found = service.records()
    times = sorted(one.received for one in found)
    gap = max(after - before for before, after in pairwise(times)) / 1e9
    print(
        f"\n{numbers.sent} readings, {len(found) - numbers.sent} of them redelivered; unread for {gap:.1f} s"
    )
    assert "1.1" in service.machine.run("dpkg-query", "--show", NAME)
    assert service.status()["ledger"]["unclean_stops"] == 0
    service.verify()


def test_a_forwarder_that_hangs_is_caught_by_the_watchdog_and_what_it_held_arrives(
    service: Service, broker: Mosquitto
) -> None:
    hang = "/var/lib/gateway/hang"
    service.configure(mqtt(broker))
    service.unit(UNIT, service.run_by("hanging.py", hang) + "\nWatchdogSec=2")
    service.start()
    service.await_source("plant")
    run = f"_SYSTEMD_INVOCATION_ID={service.machine.show(UNIT, 'InvocationID')}"
    with Numbers(broker, 100) as numbers:
        service.until("plant", "delivered", 50)
        service.machine.run("install", "-o", "gateway", "/dev/null", hang)
        service.await_restart()
    (late,) = service.machine.journal(run, "EVENT=worker is late")
    assert late["WORKER"] == "forward"
    all_once(service, numbers.sent)


def test_a_program_that_is_stopped_dead_is_caught_by_the_watchdog(service: Service) -> None:
    service.configure(SIMULATOR)
    service.unit(UNIT, "WatchdogSec=2")
    service.start()
    os.kill(service.machine.outer(UNIT), signal.SIGSTOP)
    service.await_restart()
    service.until("simulator", "delivered", 9)


HOURS, TIMES = 2, 240


def test_two_hours_without_kafka_and_with_a_silent_sensor_restart_nothing(service: Service) -> None:
    """240 times faster than time, in which gatewayd has its own deadlines and pauses; see fast.py."""
    (port,) = free_ports(1)
    with service.machine.serial_line() as (line, _), mute(port) as until_deaf:
        service.configure(
            f'{SIMULATOR}[sources.line]\nkind = "serial"\nport = "{line}"\n',
            bootstrap=f"127.0.0.1:{port}",
        )
        # Not 60 s by 240: a machine that is busy stalls for as long. Eight minutes are still few in two hours.
        service.unit(UNIT, service.run_by("fast.py", str(TIMES)) + "\nWatchdogSec=2")
        service.start()
        invocation = service.machine.show(UNIT, "InvocationID")

        def up() -> float:
            return float(service.status().get("gateway", {}).get("uptime_s", 0))

        wait_until(lambda: up() > HOURS * 1800, "an hour with a Kafka that accepts and never answers", 60)
        until_deaf()
        wait_until(lambda: up() > HOURS * 3600, "an hour with nobody there", 60)
        status = service.status()
    assert not status["kafka"]["reachable"]
    assert any("silent" in reason for reason in status["reasons"]), status["reasons"]
    assert service.machine.show(UNIT, "InvocationID") == invocation
    # Attempts that take too long would make it late again and again; a stall of the machine, once.
    assert len(service.machine.journal("EVENT=worker is late", f"_SYSTEMD_INVOCATION_ID={invocation}")) < 10


def test_a_stop_is_quick_and_in_order_with_kafka_and_within_its_limit_without(service: Service) -> None:
    (port,) = free_ports(1)
    service.configure(SIMULATOR)
    service.start()
    service.until("simulator", "delivered", 90)
    with_kafka = stop(service)
    service.verify()
    service.configure(SIMULATOR, bootstrap=f"127.0.0.1:{port}")
    service.start()
    service.until("simulator", "made", 90)
    without = stop(service)

    print(f"\nstopped in {with_kafka:.2f} s, without Kafka in {without:.1f} s")
    assert with_kafka < 5
    assert without < 20
    unsent = service.machine.run("/opt/gateway/bin/gateway-unsent")
    assert " readings and 0 dead letters wait" in unsent


def all_once(service: Service, sent: int) -> None:
    """Kafka gets all numbers below `sent`, none of them a second time without a word."""
    with suppress(AssertionError):  # which would not say what is missing
        wait_until(lambda: len({one.value for one in service.records()}) >= sent, "all numbers")
    missing, repeated = missing_and_repeated(service.records(), sent)
    assert (len(missing), missing[:5], len(repeated), repeated[:5]) == (0, [], 0, [])


def stop(service: Service) -> float:
    """Seconds that a stop took, which ended in order."""
    began = time.monotonic()
    service.machine.systemctl("stop", UNIT)
    took = time.monotonic() - began
    assert service.machine.show(UNIT, "Result") == "success"
    assert service.machine.show(UNIT, "ExecMainStatus") == "0"
    return took


@contextmanager
def mute(port: int) -> Iterator[Callable[[], None]]:
    """A Kafka that accepts connections and never answers; after a call of what is yielded nobody is there."""
    listener = socket.create_server(("127.0.0.1", port))
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connections.append(listener.accept()[0])

    def leave() -> None:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for one in connections:
            one.close()

    thread = threading.Thread(target=accept, name="mute")
    thread.start()
    try:
        yield leave
    finally:
        leave()
