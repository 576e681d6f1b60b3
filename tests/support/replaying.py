"""Dead letters for tests of their replay.

As a program: `replaying.py CONFIG STEP` replays all of them and is killed at the STEPth of its steps: before each call that
concerns a transaction, in the midst of each commit, and behind the last one.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

import gateway.kafka.producing
from devices.reading import Quality, Reading
from gateway import wire
from gateway.cli.dead_letters import writing
from gateway.cli.main import main

RECEIVED: Final = 1_763_812_800_000_000_000
SPOOL: Final = "5fa2a03dc5b0d8c1"
STEPS: Final = (1, 2, 3, 4, 5, 6, 7, 11, 12)
"""Of a replay in two transactions: all but those of the second one that differ from the first one's in nothing. At the last
one it is over.
"""

IN_TWO: Final = 6
"""Readings and marks of a transaction, so that four letters of two readings take two."""

SOURCE: Final = '[sources.line]\nkind = "serial"\nport = "/dev/null"\n'


def configured(folder: Path, bootstrap: str, dead_letters: str, readings: str, gateway: str = "pi-7") -> Path:
    """A configuration of this gateway with these topics."""
    path = folder / f"{gateway}.toml"
    path.write_text(
        f'[gateway]\nid = "{gateway}"\n[control]\nsocket = "{folder / "none.sock"}"\n[kafka]\nbootstrap_servers = "{bootstrap}"\n'
        f'dead_letters_topic = "{dead_letters}"\nreadings_topic = "{readings}"\n{SOURCE}'
    )
    return path


def letter(number: int, payload: bytes, source: str = "line", **changes: Any) -> wire.DeadLetter:
    """The letter with this number in its spool."""
    one = {
        "v": 1,
        "gateway": "pi-7",
        "source": source,
        "place": "/dev/null",
        "reason": "not JSON",
        "received": RECEIVED + number,
        "size": len(payload),
        "payload": payload,
        "text": wire.text_of(payload),
        "spool": SPOOL,
        "seq": 1 << 40 | number,
        "kind": "undecoded",
    }
    return wire.DeadLetter(**{**one, **changes})


def reading(value: str, number: int) -> Reading:
    """One that had come over MQTT before."""
    return Reading("press", "state", value, number, "line", number + 1, "", Quality.REDELIVERED)


def produce(bootstrap: str, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    """Write these into this partition, as they are."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, b"line", partition=partition)
    assert producer.flush(20) == 0


class Killed(Producer):
    """Kills its process at a step."""

    left = 0

    @classmethod
    def step(cls) -> bool:
        """Whether this is the one."""
        cls.left -= 1
        return cls.left == 0

    def init_transactions(self, *args: Any, **options: Any) -> None:
        if self.step():
            die()
        super().init_transactions(*args, **options)

    def begin_transaction(self) -> None:
        if self.step():
            die()
        super().begin_transaction()

    def produce_batch(self, *args: Any, **options: Any) -> int:
        if self.step():
            die()
        return super().produce_batch(*args, **options)

    def commit_transaction(self, *args: Any, **options: Any) -> None:
        if self.step():
            die()
        if self.step():
            threading.Timer(0.001, die).start()
        super().commit_transaction(*args, **options)


def die() -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Killed.left = int(sys.argv[2])
    gateway.kafka.producing.Producer = Killed  # type: ignore[attr-defined]
    writing.ROUND = IN_TWO  # type: ignore[misc]
    main(["dead-letters", "replay", "--yes", "--config", sys.argv[1]])
    die()
