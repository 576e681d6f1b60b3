"""Faults of single records: torn or damaged on disk, or such as Kafka will never take."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from plant import Fault, Plant
from spooled import PATIENCE, Place, frames, outage
from waiting import wait_until

from devices.reading import TEXT_LIMIT
from gateway import wire

TOPIC_LIMIT: Final = 6000
"""Bytes of a request that the readings topic takes meanwhile: hundreds of ordinary readings, but not the large one."""

FOUR_BYTES: Final = (0x20000, 0x2A6D6)
"""Characters that take four bytes each, and drawn at random cannot be compressed much."""


@contextmanager
def torn_frame(plant: Plant, chance: random.Random) -> Iterator[None]:
    """A power cut in mid-write: behind the last whole frame there is the beginning of one, noise, or zeros."""
    with outage(plant):
        plant.gateway.kill()
        last = frames(plant.state / "spool")[-1]
        whole = last.path.read_bytes()[last.frame.start : last.frame.end]
        length = chance.randrange(1, len(whole))
        kind = chance.choice(("half a frame", "noise", "zeros"))
        tails = {"half a frame": whole[:length], "noise": chance.randbytes(length), "zeros": bytes(length)}
        with last.path.open("ab") as file:
            file.write(tails[kind])
        plant.wounds.note = f"{kind} of {length} bytes"
        plant.gateway.start()
        assert _quarantined(plant) == (kind != "zeros")
        yield


@contextmanager
def flipped_byte(plant: Plant, chance: random.Random) -> Iterator[None]:
    """One bit of a frame on disk is not what was written: it may cost this frame, and no other."""
    with outage(plant) as before:
        plant.gateway.kill()
        place = chance.choice(frames(plant.state / "spool", before))
        at = flip(place, chance)
        plant.wounds.damaged = dict(place.frame.summary.readings)
        plant.wounds.note = f"byte {at - place.frame.start} of {place.frame.end - place.frame.start}"
        plant.gateway.start()
        assert _quarantined(plant) == 1
        yield


def flip(place: Place, chance: random.Random) -> int:
    """Flip a bit of the frame; returns where in the file."""
    at = chance.randrange(place.frame.start, place.frame.end)
    with place.path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))
    return at


@contextmanager
def refused_record(plant: Plant, chance: random.Random) -> Iterator[None]:
    """One reading amid the others is larger than the topic allows: it becomes a dead letter, and holds nothing up."""
    device = chance.choice(list(plant.inputs.mqtt.said))
    text = "".join(chr(chance.randint(*FOUR_BYTES)) for _ in range(TEXT_LIMIT))
    before = _refused(plant)
    _limit_readings(plant, AlterConfigOpType.SET)
    try:
        plant.mosquitto.publish(f"plant/{device}/report", f'"{text}"')
        yield
        wait_until(lambda: _refused(plant) > before, "Kafka to refuse the large reading", PATIENCE)
    finally:
        _limit_readings(plant, AlterConfigOpType.DELETE)
    assert _refused(plant) == before + 1
    letters = [letter for letter in _letters(plant) if text.encode() in letter.payload]
    assert len(letters) == 1, f"{len(letters)} dead letters hold the large reading"
    assert "refused by Kafka" in letters[0].reason


def _quarantined(plant: Plant) -> int:
    return int(plant.gateway.status()["spool"]["quarantined"])


def _refused(plant: Plant) -> int:
    return int(plant.gateway.daemon.ledger("plant")["readings"]["refused"])


def _letters(plant: Plant) -> list[wire.DeadLetter]:
    records = plant.cluster.brokers[0].read_all("dead-letters")
    return [wire.decode_dead_letter(record.value() or b"") for record in records]


def _limit_readings(plant: Plant, operation: AlterConfigOpType) -> None:
    limit = ConfigEntry("max.message.bytes", str(TOPIC_LIMIT), incremental_operation=operation)
    topic = ConfigResource(ResourceType.TOPIC, "readings", incremental_configs=[limit])
    admin = AdminClient({"bootstrap.servers": plant.cluster.near, "log_level": 0})
    for done in admin.incremental_alter_configs([topic]).values():
        done.result(PATIENCE)


FAULTS: Final[dict[str, Fault]] = {
    "torn frame": torn_frame,
    "flipped byte": flipped_byte,
    "refused record": refused_record,
}
