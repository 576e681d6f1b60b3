"""`gatewayctl verify` and `gatewayctl spool` on a real Kafka with real gateways: they find what was done to the data."""

import asyncio
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from daemon import Daemon
from delivering import batch_of, exactly_once
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from devices.reading import Reading
from gateway.cli.main import main
from gateway.clock import Clock
from gateway.config import GatewayConfig, GatewayKafka, Spool
from gateway.forward import Forward
from gateway.kafka.transactional import TransactionalSink
from gateway.ledger import Ledger
from gateway.spool import Batch
from gateway.spool import Spool as SpoolOnDisk
from gateway.testing_fs import FaultFiles

Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def verify(own_kafka: KafkaServer, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Exit code and what it prints as JSON."""

    def ask(*options: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["verify", "--bootstrap-servers", own_kafka.bootstrap, "--json", *options])
        printed = capsys.readouterr()
        print(printed.err)
        return code, json.loads(printed.out or "{}")

    return ask


def produce(server: KafkaServer, *values: bytes | None) -> None:
    producer = Producer({"bootstrap.servers": server.bootstrap})
    for value in values:
        producer.produce("readings", value, b"key")
    assert producer.flush(20) == 0


@pytest.mark.timeout(180)
def test_a_gateway_killed_while_data_flows_leaves_nothing_wrong_and_what_is_then_planted_is_found(
    tmp_path: Path, own_kafka: KafkaServer, verify: Verify
) -> None:
    with SerialLine(tmp_path) as line:
        source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
        daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, source, "[spool]\nspill_after = 0.0\n")
        for start in (1, 2, 3):
            with daemon:
                wait_until(lambda: daemon.state("line") == "connected", "the port")
                for n in range(50):
                    line.write(f"count={n}\n".encode() + (b"nothing to read\n" if n % 20 == 0 else b""))
                wait_until(lambda: daemon.delivered("line") >= 40 * start, "readings in Kafka", 60)  # noqa: B023
                code, found = verify()  # while it works
                assert (code, found["gateways"]["pi-7"]["missing"]) == (0, 0), found
                daemon.kill()

    code, found = verify()
    gateway = found["gateways"]["pi-7"]
    assert (code, found["ok"]) == (0, True), found
    assert gateway["starts"] == 3
    assert gateway["dead_letters"] > 0
    assert gateway["ledger"]

    record = next(one for one in own_kafka.read_all("readings") if json.loads(one.value() or b"")["seq"] & 1)
    reading = json.loads(record.value() or b"")
    last = max(json.loads(one.value() or b"")["seq"] for one in own_kafka.read_all("readings"))
    ahead = json.dumps({**reading, "seq": last + 100}).encode()
    produce(own_kafka, b"\xff{damaged", None, record.value(), ahead)

    code, found = verify("--gateway", "pi-7")
    gateway = found["gateways"]["pi-7"]
    assert (code, found["damaged"], gateway["repeated"]) == (1, 2, 1)
    assert 0 < gateway["missing"] <= 99
    assert {one["topic"] for one in found["damage"]} == {"readings"}
    assert gateway["repeated_at"][0]["seq"] == reading["seq"]


@pytest.mark.timeout(120)
def test_what_was_dropped_is_explained_by_the_ledger_and_what_was_refused_is_in_the_dead_letters(
    own_kafka: KafkaServer, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    own_kafka.create_topic("readings", 3, max__message__bytes="40000")

    async def scenario() -> int:
        ledger = Ledger()
        spool = SpoolOnDisk(Spool(memory_bytes=1_000_000), ledger, FaultFiles())

        def add(batch: Batch) -> None:
            ledger.source("line").made += len(batch.readings)
            spool.append(batch)

        add(batch_of(range(10)))
        kafka = GatewayKafka(bootstrap_servers=own_kafka.bootstrap)
        sink = TransactionalSink(kafka, "pi-7")
        forward = Forward(
            spool, sink, ledger, GatewayConfig({}, kafka=kafka), "pi-7", clock=Clock(trusted=True)
        )

        async def deliver() -> None:
            task = asyncio.ensure_future(forward.run(lambda: None))
            async with asyncio.timeout(60):
                await spool.empty()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        await deliver()
        for first in range(10, 5010, 100):  # more than the memory takes, and nobody reads
            add(batch_of(range(first, first + 100)))
        long = "".join(random.Random(1).choices(string.printable, k=100_000))
        refused = batch_of([5010])
        refused.readings.append(Reading("press-1", "text", long, 1, "line", 1))
        refused.counts["line"] += 1
        add(refused)
        await deliver()
        await forward.finish()
        await sink.close()
        return sum(ledger.source("line").dropped.values())

    dropped = asyncio.run(scenario())
    code, found = verify()
    gateway = found["gateways"]["pi-7"]

    assert dropped > 0
    assert code == 1
    assert (gateway["missing"], gateway["dropped"]) == (dropped, {"drop-oldest": dropped})
    assert (gateway["refused"], gateway["repeated"], gateway["out_of_order"]) == (1, 0, 0)

    assert main(["verify", "--bootstrap-servers", own_kafka.bootstrap]) == 1
    assert (
        f"all of these were dropped by the gateway's ledger: {dropped} drop-oldest" in capsys.readouterr().out
    )


@pytest.mark.timeout(120)
def test_what_retention_removed_is_not_called_missing(own_kafka: KafkaServer, verify: Verify) -> None:
    from confluent_kafka import TopicPartition  # noqa: PLC0415
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    own_kafka.create_topic("readings", 3)

    async def scenario() -> None:
        delivery = exactly_once(own_kafka.bootstrap, "run-0")
        delivery.add(range(300))
        await delivery.delivered()
        await asyncio.sleep(0.01)  # the next are sent at a later millisecond
        delivery.add(range(300, 600))
        await delivery.delivered()
        await delivery.end()

    asyncio.run(scenario())
    sizes = [sum(one.partition() == n for one in own_kafka.read_all("readings")) for n in range(3)]
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    cut = [TopicPartition("readings", n, size // 4) for n, size in enumerate(sizes) if size]
    for future in admin.delete_records(cut).values():
        future.result(20)

    code, found = verify()
    gateway = found["gateways"]["pi-7"]
    assert found["expired_before_ms"] > 0
    assert (code, gateway["missing"]) == (0, 0), found
    assert gateway["expired"] > 0


def test_the_spool_is_shown_with_and_without_a_gatewayd_and_a_look_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spool(*options: str) -> tuple[int, str]:
        code = main(["spool", "--socket", str(daemon.socket), "--config", str(daemon.config), *options])
        return code, capsys.readouterr().out

    source = '[sources.sim]\nkind = "simulator"\ninterval = 0.01\n'
    with Daemon(tmp_path / "gw", "127.0.0.1:1", source, "[spool]\nspill_after = 0.1\n") as daemon:
        wait_until(lambda: daemon.status()["spool"]["on_disk"] > 100, "readings on disk")
        wait_until(lambda: daemon.status()["spool"]["lasts_s"], "the rate to be known")
        code, text = spool()
        assert code == 1
        assert "if Kafka took nothing from now on" in text
        assert "are given up for new ones" in text
        assert main(["spool", "--config", str(daemon.config)]) == 1, "its socket stands in the configuration"
        assert "if Kafka took nothing from now on" in capsys.readouterr().out
        daemon.kill()

    folder = tmp_path / "gw" / "state" / "spool"
    segment = next(folder.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    code, text = spool("--json")
    looked = json.loads(text)
    assert (code, looked["health"]) == (2, "down")
    assert looked["spool"]["quarantined"] == 1
    assert looked["spool"]["readings"] > 0
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, text = spool()
    assert "gatewayd does not run" in text


@pytest.mark.parametrize("option", [("--topic", "nope"), ("--config", "/no/such.toml"), ("--topic", "a b")])
def test_what_cannot_be_read_is_said_in_a_sentence(
    kafka: KafkaServer, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--bootstrap-servers", kafka.bootstrap, *option]) == 2
    assert capsys.readouterr().err.startswith("gatewayctl verify: ")
