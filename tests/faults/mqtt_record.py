"""What a broker sent to the gateway, and what the gateway acknowledged: read from the bytes between the two."""

from itertools import count

from proxy import Tap
from tally import Tally

PUBLISH = 3
PUBACK = 4
TWO_BYTES = 2


class MqttRecord:
    """For a proxy between gateway and broker, MQTT 5. Messages are known by device (of the topic) and number (payload).

    Attributes:
        fresh: how often the broker sent a message as a new one.
        again: how often it sent it marked as sent before.
        acknowledged: how often the gateway acknowledged it.
        waiting: messages that the gateway has not acknowledged on the present connection.
    """

    def __init__(self) -> None:
        self.fresh = Tally()
        self.again = Tally()
        self.acknowledged = Tally()
        self._waiting: dict[tuple[int, int], tuple[str, int] | None] = {}
        self._connections = count()

    @property
    def waiting(self) -> int:
        """See above."""
        return len(self._waiting)

    def connection(self) -> Tap:
        """A tap for one more connection."""
        number = next(self._connections)
        self._waiting.clear()  # a session has one connection at a time
        streams = {True: bytearray(), False: bytearray()}

        def hear(to_server: bool, data: bytes) -> None:  # noqa: FBT001 - as a Tap is
            stream = streams[to_server]
            stream += data
            while packet := _take(stream):
                kind = packet[0] >> 4
                if to_server and kind == PUBACK:
                    self._acknowledged((number, int.from_bytes(_body(packet)[:2])))
                elif not to_server and kind == PUBLISH:
                    self._published(number, packet)

        return hear

    def _acknowledged(self, packet: tuple[int, int]) -> None:
        message = self._waiting.pop(packet, None)
        if message is not None:
            self.acknowledged.add(*message)

    def _published(self, connection: int, packet: bytes) -> None:
        body = _body(packet)
        end = TWO_BYTES + int.from_bytes(body[:2])
        topic = body[2:end].decode()
        properties, length = _varint(body, end + TWO_BYTES)
        payload = body[properties + length :]
        message = None
        if payload.isdigit():
            message = (topic.split("/")[1], int(payload))
            (self.again if packet[0] & 8 else self.fresh).add(*message)
        self._waiting[connection, int.from_bytes(body[end : end + 2])] = message


def _take(stream: bytearray) -> bytes:
    """The first packet, taken off the stream; empty if it is not complete."""
    for digits in range(1, 5):
        if len(stream) <= digits:
            return b""
        if stream[digits] < 128:
            start, length = _varint(bytes(stream[: digits + 1]), 1)
            if len(stream) < start + length:
                return b""
            packet = bytes(stream[: start + length])
            del stream[: start + length]
            return packet
    raise ValueError("not MQTT")


def _body(packet: bytes) -> bytes:
    start, _ = _varint(packet, 1)
    return packet[start:]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The place after a variable byte integer, and its value."""
    value = shift = 0
    while True:
        value |= (data[place] & 127) << shift
        shift += 7
        place += 1
        if data[place - 1] < 128:
            return place, value
