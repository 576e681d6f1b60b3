"""From the spool to Kafka each reading goes once and in order, whatever happens in between."""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import delivering
import kafka
import pytest
from confluent_kafka.admin import AdminClient
from daemon import Daemon
from delivering import BATCH, COUNT, batch_of
from far import Far, far_kafka
from kafka import KafkaServer
from waiting import until, wait_until

from gateway import wire

SIMULATOR = '[sources.sim]\nkind = "simulator"\ninterval = 0.05\n'


def values(server: KafkaServer) -> list[int]:
    """Of all readings that a reader of committed records sees; order is checked per device."""
    found = [wire.decode_reading(record.value() or b"") for record in server.read_all("readings")]
    by_device: dict[str, list[int]] = {}
    for reading in found:
        by_device.setdefault(reading.device, []).append(int(str(reading.value)))
    for numbers in by_device.values():
        assert numbers == sorted(set(numbers)), "repeated or out of order"
    return sorted(int(str(reading.value)) for reading in found)


@pytest.fixture(scope="module", autouse=True)
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer | None]:
    """Remembers positions for a minute, and had one of a gateway: the minute passes while other tests run."""
    if kafka.missing():
        yield None
        return
    server = KafkaServer(
        tmp_path_factory.mktemp("forgetful"),
        offsets__retention__minutes="1",
        offsets__retention__check__interval__ms="1000",
    )

    async def scenario() -> None:
        async with delivering.delivering(server.bootstrap, "run-0") as delivery:
            delivery.add(range(BATCH))
            await delivery.delivered()

    try:
        server.start()
        asyncio.run(scenario())
        yield server
    finally:
        server.stop()


@pytest.fixture
def far(tmp_path: Path, kafka_installed: None) -> Iterator[Far]:
    del kafka_installed
    with far_kafka(tmp_path / "kafka") as one:
        yield one


@pytest.mark.timeout(240)
def test_a_process_killed_in_mid_transaction_costs_and_repeats_nothing(own_kafka: KafkaServer) -> None:
    chance = random.Random(7)
    kills = 0
    for run in range(60):
        process = subprocess.Popen([sys.executable, delivering.__file__, own_kafka.bootstrap, str(run)])
        try:
            # Start and init take 0.4 s, a full run about as long again: kills fall before, into and after transactions.
            assert process.wait(chance.uniform(0.3, 0.9) if kills < 8 else 120) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1

    assert values(own_kafka) == list(range(COUNT))
    assert kills == 8


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "wounds",
    [[None, None], [1.0, 7.5, 14.0]],  # shorter than any deadline, than that of the transaction, than none
    ids=["kill", "freeze"],
)
def test_commits_whose_outcome_is_unknown_are_asked_for(
    own_kafka: KafkaServer, wounds: list[float | None]
) -> None:
    async def scenario() -> None:
        async with delivering.delivering(own_kafka.bootstrap, "run-0") as delivery:
            total = 0
            for wound in wounds:
                delivery.add(range(total, total + BATCH))
                await delivery.delivered()
                hurt = asyncio.create_task(asyncio.to_thread(hurt_broker, own_kafka, wound))
                while not hurt.done():
                    total += BATCH
                    delivery.add(range(total, total + BATCH))
                    await asyncio.sleep(0.01)
                total += BATCH
            await delivery.delivered()
            assert delivery.balanced
            assert values(own_kafka) == list(range(total))

    asyncio.run(scenario())


def hurt_broker(server: KafkaServer, seconds: float | None) -> None:
    """Freeze it for so long, or kill it and start it again."""
    if seconds is None:
        server.kill()
        server.start()
    else:
        server.freeze()
        time.sleep(seconds)
        server.thaw()


@pytest.mark.timeout(180)
def test_a_network_cut_longer_than_the_transaction_is_recovered_from(far: Far) -> None:
    async def scenario() -> None:
        async with delivering.delivering(far.bootstrap, "run-0") as delivery:
            delivery.add(range(BATCH))
            await delivery.delivered()
            for number, (seconds, closed) in enumerate([(14.0, False), (14.0, True), (1.0, False)], 1):
                delivery.add(range(number * BATCH, (number + 1) * BATCH))
                await asyncio.sleep(0.004 * number)  # into the transaction
                far.proxy.silence()
                await asyncio.sleep(seconds)
                if closed:
                    far.proxy.cut()
                far.proxy.resume()
                began = time.monotonic()
                await delivery.delivered()
                print(f"cut of {seconds:.0f} s: delivered {time.monotonic() - began:.1f} s after it")

    asyncio.run(scenario())
    assert values(far.server) == list(range(4 * BATCH))


def test_a_second_gateway_with_the_same_id_ends_the_first(tmp_path: Path, own_kafka: KafkaServer) -> None:
    first = Daemon(tmp_path / "a", own_kafka.bootstrap, SIMULATOR)
    second = Daemon(tmp_path / "b", own_kafka.bootstrap, SIMULATOR)
    with first:
        wait_until(lambda: first.delivered("sim") > 0, "the first to be at work")
        with second:
            assert first.wait(30) == 3
            [event] = first.events("rival")
            assert "another gateway delivers as 'pi-7', so this one ends" in event["problem"]
            before = second.delivered("sim")
            wait_until(lambda: second.delivered("sim") > before, "the second to go on")
            second.stop()


def test_an_old_copy_of_the_spool_is_delivered_under_an_id_of_its_own(own_kafka: KafkaServer) -> None:
    async def scenario() -> None:
        async with delivering.delivering(own_kafka.bootstrap, "run-0", "run-1") as delivery:
            delivery.add(range(BATCH))
            await delivery.delivered()
        others = [batch_of(range(BATCH, 2 * BATCH))]
        async with delivering.delivering(own_kafka.bootstrap, "run-0", "run-2", content=others) as restored:
            await restored.delivered()
            assert restored.spool.id != delivering.SPOOL
            assert restored.balanced

    asyncio.run(scenario())
    assert values(own_kafka) == list(range(2 * BATCH))


def test_what_kafka_has_already_counts_as_delivered_once(own_kafka: KafkaServer) -> None:
    async def scenario() -> None:
        async with delivering.delivering(own_kafka.bootstrap, "run-0") as first:
            first.add(range(BATCH))
            await first.delivered()
        content = [batch_of(range(BATCH)), batch_of(range(BATCH, 2 * BATCH))]
        async with delivering.delivering(own_kafka.bootstrap, "run-0", "run-1", content=content) as second:
            await second.delivered()
            totals = second.ledger.totals()["line"]
            assert (totals.made, totals.delivered) == (2 * BATCH, 2 * BATCH)
            assert second.forward.unclean_stops == 0

    asyncio.run(scenario())
    assert values(own_kafka) == list(range(2 * BATCH))


def test_totals_resume_after_a_kill_and_unclean_stops_are_counted(
    tmp_path: Path, own_kafka: KafkaServer
) -> None:
    daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, SIMULATOR)
    with daemon:
        wait_until(lambda: daemon.delivered("sim") > 20, "some readings")
        seen = daemon.delivered("sim")
        assert daemon.status()["ledger"]["unclean_stops"] == 0
        daemon.kill()
    with daemon:
        wait_until(lambda: daemon.status()["ledger"]["unclean_stops"] == 1, "the last run to be known")
        assert daemon.delivered("sim") >= seen
        assert daemon.status()["health"] != "down"
        seen = daemon.delivered("sim")
        daemon.stop()
    with daemon:
        wait_until(lambda: daemon.status()["ledger"]["unclean_stops"] is not None, "the same")
        assert daemon.status()["ledger"]["unclean_stops"] == 1
        assert daemon.delivered("sim") >= seen
        daemon.stop()


def known(admin: AdminClient) -> bool:
    groups = admin.list_consumer_groups().result(10).valid
    return any(group.group_id == "gateway-cursor-pi-7" for group in groups)


@pytest.mark.timeout(120)
def test_a_link_with_a_quarter_of_a_second_of_latency_carries_a_gateway(far: Far) -> None:
    far.proxy.delay = 0.125  # each way

    async def scenario() -> float:
        async with delivering.delivering(far.bootstrap, "run-0") as delivery:
            delivery.add(range(BATCH))
            await delivery.delivered()
            began = time.monotonic()
            for first in range(BATCH, 11 * BATCH, BATCH):
                delivery.add(range(first, first + BATCH))
                await delivery.delivered()
            return (time.monotonic() - began) / 10

    each = asyncio.run(scenario())
    print(f"one transaction on a link with 250 ms of latency: {each:.2f} s")
    assert each < 2.0
    assert values(far.server) == list(range(11 * BATCH))


def test_sigterm_in_the_middle_of_an_outage_ends_in_time(tmp_path: Path, own_kafka: KafkaServer) -> None:
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, SIMULATOR) as daemon:
        wait_until(lambda: daemon.delivered("sim") > 5, "some readings")
        own_kafka.freeze()
        try:
            assert daemon.stop(50) < 45
        finally:
            own_kafka.thaw()


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("kafka_installed")
def test_a_position_that_kafka_forgot_repeats_only_what_the_spool_forgot_too(forgetful: KafkaServer) -> None:
    """Last in this file, so that the minute has passed."""
    remembered = BATCH // 2

    async def scenario() -> None:
        admin = AdminClient({"bootstrap.servers": forgetful.bootstrap})
        await until(lambda: not known(admin), "kafka to forget", 150)
        delivery = delivering.exactly_once(forgetful.bootstrap, "run-0", "run-1")
        delivery.spool._next, delivery.spool.position = 1, remembered
        for first, end in [(0, remembered), (remembered, BATCH), (BATCH, 2 * BATCH)]:
            delivery.add(range(first, end))
        await delivery.delivered()
        await delivery.end()

    asyncio.run(scenario())
    found = Counter(wire.decode_reading(r.value() or b"").value for r in forgetful.read_all("readings"))
    assert sorted(found, key=str) == sorted(range(2 * BATCH), key=str), "lost"
    assert sorted(int(str(n)) for n in found if found[n] > 1) == list(range(remembered, BATCH))


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("kafka_installed")
def test_a_broker_that_takes_little_text_beside_a_position_holds_up_no_reading(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path / "kafka", offset__metadata__max__bytes="256")
    sources = "".join(
        f'[sources.sim-{n}]\nkind = "simulator"\ninterval = 0.1\nprefix = "sim-{n}-"\n' for n in range(12)
    )
    try:
        server.start()
        with Daemon(tmp_path / "gw", server.bootstrap, sources) as daemon:
            wait_until(lambda: all(daemon.delivered(f"sim-{n}") > 20 for n in range(12)), "the readings", 60)
            assert daemon.events("kafka takes less text beside the position")
            assert daemon.stop() < 20
    finally:
        server.stop()
