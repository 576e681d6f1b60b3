"""Publishes to an MQTT broker: packets of MQTT 3.1.1 with QoS 1, written to a socket by hand.

A client library costs as much per message as all the rest of a simulation; and it may let new messages overtake those that
it sends again, where a simulation promises their order.
"""

import socket
import struct
import time
import uuid
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from devices.simulator.payloads import Payload
from gateway.cli.simulate.carrier import Outgoing
from gateway.cli.simulate.trouble import SimulateError

WINDOW: Final = 10_000
"""Payloads sent ahead of their acknowledgement. What is due while the broker is away waits in here too."""

PATIENCE: Final = 10.0
"""Seconds without an acknowledgement after which the connection is given up, or at the end all of it."""

_ANSWER: Final = 5.0
_PAUSE: Final = 0.5
"""Seconds until the broker must have answered, and between two attempts."""

_IDS: Final = 65_535
_ACK: Final = 4
"""Bytes of a CONNACK as of a PUBACK."""

_PUBACK: Final = 0x40
_PUBLISH: Final = 0x32
_DUP: Final = 0x08
_DISCONNECT: Final = b"\xe0\x00"
_REFUSALS: Final = {2: "the client id", 4: "user name or password", 5: "this client: it is not authorised"}


class Broker(NamedTuple):
    """Where to publish.

    Attributes:
        prefix: of the topics, with its `/`; may be empty.
    """

    host: str
    port: int
    prefix: str
    username: str
    password: str

    @property
    def place(self) -> str:
        """It for people."""
        return f"mqtt://{self.host}:{self.port}/{self.prefix}".rstrip("/")


def broker_of(url: str) -> Broker:
    """What `mqtt://USER:PASSWORD@HOST:PORT/PREFIX` means.

    Raises:
        SimulateError: it is something else.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 1883
    except ValueError as error:
        raise SimulateError(f"--to: {url!r} is not allowed: {error}") from None
    prefix = unquote(parts.path).strip("/")
    # A raw # or ? would cut off the rest, and what is left of `plant/#` is a good prefix.
    if parts.scheme != "mqtt" or not parts.hostname or set(url) & set("#?") or set(prefix) & set("+#\0"):
        raise SimulateError(
            f"--to: {url!r} is not allowed; write mqtt://HOST:PORT/PREFIX, with a prefix without + and #, or pty "
            "(? and # in a password are %3F and %23)"
        )
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Broker(parts.hostname, port, prefix and f"{prefix}/", username, password)


class MqttCarrier:
    """See Carrier. What the broker did not acknowledge is sent again, in order, on the next connection.

    Raises:
        SimulateError: there is no broker, or it refuses us. Later on it is looked for until it is back.
    """

    def __init__(self, broker: Broker) -> None:
        self.place = broker.place
        self.patience = PATIENCE
        self.repeated = self.lost = 0
        self._broker = broker
        self._away = False
        self._socket: socket.socket | None = None
        self._next_attempt = 0.0
        self._heard = 0.0
        self._outgoing = Outgoing()
        self._incoming = b""
        self._sent = self._acknowledged = 0
        self._unacknowledged: deque[bytes] = deque()
        self._fresh = 0  # of those, the last ones that no connection has seen yet
        self._connect()

    def ready(self) -> bool:
        """See Carrier."""
        return not self._away

    def room(self) -> int:
        """See Carrier."""
        return WINDOW - len(self._unacknowledged)

    def send(self, payload: Payload, pause: float = 0.0) -> int:
        """See Carrier."""
        packet = self._packet(payload)
        if not self._unacknowledged:
            self._heard = time.monotonic()
        self._unacknowledged.append(packet)
        if self._socket is None:
            self._fresh += 1
        else:
            self._outgoing.add(packet, pause)
        return len(packet)

    def pump(self) -> None:
        """See Carrier."""
        if self._away:
            return
        try:
            if self._socket is None:
                if time.monotonic() < self._next_attempt:
                    return
                self._next_attempt = time.monotonic() + _PAUSE
                self._connect()
            self._write()
            self._read()
        except (OSError, SimulateError):
            self.lost += self._socket is not None
            self._drop()

    def waiting(self) -> int:
        """See Carrier."""
        return len(self._unacknowledged)

    def leave(self) -> None:
        """See Carrier."""
        self._away = True
        self._drop()

    def come_back(self) -> None:
        """See Carrier."""
        self._away = False
        self._next_attempt = 0.0

    def close(self) -> None:
        """See Carrier."""
        if self._socket is not None and not self._outgoing:
            with suppress(OSError):
                self._socket.sendall(_DISCONNECT)
        self._drop()

    def _packet(self, payload: Payload) -> bytes:
        name = (self._broker.prefix + payload.topic).encode()
        self._sent += 1
        mid = (self._sent - 1) % _IDS + 1
        body = b"%b%b%b%b" % (len(name).to_bytes(2, "big"), name, mid.to_bytes(2, "big"), payload.data)
        return _fixed(_PUBLISH, len(body)) + body

    def _connect(self) -> None:
        broker = self._broker
        try:
            line = socket.create_connection((broker.host, broker.port), _ANSWER)
        except OSError as error:
            raise SimulateError(
                f"no MQTT broker answers at {broker.host}:{broker.port}: {error.strerror or error}; start one, such as "
                "mosquitto, or name another one with --to"
            ) from error
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(_hello(broker))
            answer = b""
            while len(answer) < _ACK:
                data = line.recv(_ACK - len(answer))
                if not data:
                    raise ConnectionResetError("it hung up")
                answer += data
        except OSError as error:
            line.close()
            raise SimulateError(
                f"what listens at {broker.host}:{broker.port} is no MQTT broker: {error}"
            ) from error
        if answer[:2] != b"\x20\x02" or answer[3]:
            line.close()
            refused = _REFUSALS.get(answer[3], f"the connection (code {answer[3]})")
            raise SimulateError(
                f"the MQTT broker at {broker.host}:{broker.port} refuses {refused}; write "
                "mqtt://USER:PASSWORD@HOST:PORT/PREFIX, or change the broker's configuration"
            )
        line.setblocking(False)
        self._socket, self._incoming, self._heard = line, b"", time.monotonic()
        self._outgoing.clear()
        again = len(self._unacknowledged) - self._fresh
        self.repeated += again
        self._fresh = 0
        for place, packet in enumerate(self._unacknowledged):
            self._outgoing.add(bytes([packet[0] | _DUP]) + packet[1:] if place < again else packet)

    def _write(self) -> None:
        assert self._socket is not None  # noqa: S101 - for mypy
        try:
            while ready := self._outgoing.ready():
                del ready[: self._socket.send(ready)]
        except BlockingIOError:
            pass

    def _read(self) -> None:
        assert self._socket is not None  # noqa: S101 - for mypy
        try:
            while data := self._socket.recv(65_536):
                self._take(data)
            raise ConnectionResetError("the broker closed the connection")
        except BlockingIOError:
            pass
        if self._unacknowledged and time.monotonic() - self._heard > PATIENCE:
            raise TimeoutError("the broker acknowledges nothing")

    def _take(self, data: bytes) -> None:
        """Count acknowledgements: brokers owe them in the order of the messages."""
        self._heard = time.monotonic()
        data = self._incoming + data
        count = len(data) // _ACK
        self._incoming = data[count * _ACK :]
        if not count:
            return
        self._acknowledged += count
        kind, _, mid = struct.unpack(">BBH", data[(count - 1) * _ACK : count * _ACK])
        if kind != _PUBACK or count > len(self._unacknowledged) or mid != (self._acknowledged - 1) % _IDS + 1:
            self._acknowledged -= count
            raise ConnectionAbortedError(
                "the broker sends something else than acknowledgements in their order"
            )
        for _ in range(count):
            self._unacknowledged.popleft()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._outgoing.clear()


def _hello(broker: Broker) -> bytes:
    """CONNECT with a clean session, and no keep-alive."""
    words = [f"simulate-{uuid.uuid4().hex[:12]}"]
    flags = 0x02
    if broker.username:
        flags |= 0x80
        words.append(broker.username)
        if broker.password:
            flags |= 0x40
            words.append(broker.password)
    body = _text("MQTT") + bytes([4, flags, 0, 0]) + b"".join(map(_text, words))
    return _fixed(0x10, len(body)) + body


def _fixed(kind: int, length: int) -> bytes:
    """The fixed header of a packet whose rest has so many bytes."""
    header = bytearray([kind])
    while length >= 128:  # noqa: PLR2004 - seven bits a byte
        header.append(length % 128 | 128)
        length //= 128
    header.append(length)
    return bytes(header)


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
