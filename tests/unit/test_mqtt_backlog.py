"""Messages that wait for room: in order, and bounded in memory."""

import tracemalloc
from itertools import count

from paho.mqtt.client import MQTTMessage

from devices.mqtt.backlog import LIMIT, Backlog


def message(number: int) -> MQTTMessage:
    made = MQTTMessage(mid=0, topic=b"plant/hall-7/press-%d/temperature" % (number % 10))
    made.payload = b"%d" % number
    return made


def test_small_messages_that_no_window_stops_are_bounded_by_the_memory_they_take() -> None:
    backlog = Backlog()
    room = False
    taken: list[bytes] = []
    backlog.open(lambda one: taken.append(bytes(one.payload)), lambda: room)
    tracemalloc.start()
    try:
        for number in count():
            if backlog.full:
                break
            backlog.add(message(number))
            assert number < 100_000
        assert tracemalloc.get_traced_memory()[0] < 1.5 * LIMIT
    finally:
        tracemalloc.stop()

    room = True
    backlog.release(lambda: True)
    assert taken == [b"%d" % n for n in range(number)]
    assert not backlog
    assert not backlog.full
