"""Why brokers do not let us in: looks at them as the Kafka client would, which says it in few words, or in none.

`certificate verify failed` may be a stranger's certificate, one that has expired, or one for another name; a port that wants
TLS, or a user, just hangs up. So, when the client got nowhere, one connection is made here, step by step: name, TCP, TLS,
and one request that each Kafka answers before it knows who asks: which ways of proving who one is it offers.
"""

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from devices.tls import Tls, TlsFileError, tls_context, what_failed

PATIENCE: Final = 1.5
"""Seconds that a broker has for each step."""

DEADLINE: Final = 4.0
"""Seconds that all of it may take."""

_HEAD: Final = struct.Struct(">hhih")
"""Of a request: which, its version, a number that the answer repeats, and the length of the name of the client."""

_SASL_HANDSHAKE: Final = 17
_NUMBER: Final = 7
_LONGEST: Final = 10_000

_looking: Final = threading.Lock()


class Way(NamedTuple):
    """How the client goes about it.

    Attributes:
        tls: None: in plain text.
        mechanism: of SASL; empty: none.
    """

    tls: Tls | None
    mechanism: str


def cause(options: Mapping[str, Any], words: str = "") -> str:
    """What keeps the client from the brokers, as a sentence with what to do; empty if that cannot be seen from here.

    `options` are the properties of the client, `words` what it said: a broker that it complained of is looked at first.
    Blocks for DEADLINE at most.
    """
    way = _way(options)
    if way is None or not _looking.acquire(timeout=PATIENCE):
        return ""
    found: SimpleQueue[str] = SimpleQueue()

    def look() -> None:
        try:
            found.put(_cause(list(_addresses(options, words)), way))
        finally:
            _looking.release()

    # A name server that does not answer holds up its thread for half a minute, and nobody waits for it.
    threading.Thread(target=look, name="kafka-look", daemon=True).start()
    try:
        return found.get(timeout=DEADLINE)
    except Empty:
        return ""


def _way(options: Mapping[str, Any]) -> Way | None:
    """None: the client was told to do it in a way that is not known here."""
    known = {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location"}
    usual = {"ssl.endpoint.identification.algorithm": "https"}
    for key, value in options.items():
        if re.match(r"(enable\.)?ssl\.", key) and key not in known and usual.get(key) != value:
            return None
    protocol = str(options.get("security.protocol", "plaintext")).upper()
    names = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
    tls = Tls(*(str(options.get(name, "")) for name in names)) if protocol.endswith("SSL") else None
    mechanism = options.get("sasl.mechanism") or options.get("sasl.mechanisms") or "GSSAPI"
    return Way(tls, str(mechanism) if protocol.startswith("SASL_") else "")


def _addresses(options: Mapping[str, Any], words: str) -> Iterator[tuple[str, int]]:
    named = re.findall(r"(?:ssl|plaintext)://([^\s/]+)/", words)
    for server in dict.fromkeys([*named, *re.split(r"\s*,\s*", str(options["bootstrap.servers"]))]):
        host, _, port = server.rpartition(":")
        yield host.strip("[]"), int(port)


def _cause(addresses: list[tuple[str, int]], way: Way) -> str:
    until = time.monotonic() + DEADLINE - PATIENCE
    for host, port in addresses:
        if why := _look(host, port, way):
            return why
        if time.monotonic() > until:
            break
    return ""


def _look(host: str, port: int, way: Way) -> str:
    at = f"{host}:{port}"
    try:
        context = None if way.tls is None else tls_context(way.tls)
        line = socket.create_connection((host, port), PATIENCE)
    except TlsFileError as error:
        return str(error)
    except OSError as error:
        return f"{at} {_unreached(error)}"
    with line:
        try:
            if context is None:
                offered = _offered(line, way.mechanism)
            else:
                with context.wrap_socket(line, server_hostname=host) as wrapped:
                    offered = _offered(wrapped, way.mechanism)
        except (OSError, ValueError) as error:
            return _broken(host, port, way, error)
    return _unproven(at, way, offered)


def _unreached(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "has a name that no name server knows; check bootstrap_servers, and the network of this machine"
        case TimeoutError():
            return "does not answer; is Kafka running, and are address, port and firewall right?"
        case ConnectionRefusedError():
            return "refuses connections; is Kafka running, and is the port right?"
    return f"cannot be reached: {error.strerror or error}"


def _broken(host: str, port: int, way: Way, error: Exception) -> str:
    at = f"{host}:{port}"
    if isinstance(error, TimeoutError):
        return ""  # slow, or no Kafka: the client has more patience, and knows better
    if way.tls is not None:
        why = what_failed(error, host, way.tls) if isinstance(error, OSError) else ""
        return f"{at}{':' if why.startswith('its') else ''} {why}" if why else ""
    if _speaks_tls(host, port):
        return f"{at} speaks TLS and nothing else; set tls in [kafka], or name the port that does without"
    return ""


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent over it: whether there is TLS at all is asked, not who it is.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), PATIENCE) as line,
            context.wrap_socket(line, server_hostname=host),
        ):
            return True
    except (OSError, ValueError):
        return False


def _unproven(at: str, way: Way, offered: list[str]) -> str:
    """About who we are, once the connection itself is as it should be."""
    if offered and not way.mechanism:
        listed = ", ".join(offered)
        return f"{at} wants to know who comes (it takes {listed}); set username and password_file, or oauth, in [kafka]"
    if way.mechanism and not offered:
        return f"{at} takes neither user nor token at this port; name the port that does, or set neither in [kafka]"
    if way.mechanism and way.mechanism not in offered:
        listed = ", ".join(offered)
        return f"{at} does not take {way.mechanism}: it takes {listed}; set mechanism (or oauth) in [kafka] to one of them"
    return ""


def _offered(line: socket.socket, mechanism: str) -> list[str]:
    """The mechanisms of SASL that a broker takes here; none, where it takes no SASL.

    Raises:
        OSError, ValueError: it gives no answer, or none of Kafka.
    """
    line.settimeout(PATIENCE)
    name, client = (mechanism or "-").encode(), b"gateway-look"
    request = (
        _HEAD.pack(_SASL_HANDSHAKE, 1, _NUMBER, len(client)) + client + struct.pack(">h", len(name)) + name
    )
    line.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _exactly(line, 4))
    if not 0 < size <= _LONGEST:
        raise ValueError("no Kafka")
    return _mechanisms(_exactly(line, size))


def _mechanisms(answer: bytes) -> list[str]:
    try:
        number, _, count = struct.unpack_from(">ihi", answer)
        found, at = [], 10
        for _ in range(min(count, _LONGEST) if number == _NUMBER else 0):
            (length,) = struct.unpack_from(">h", answer, at)
            found.append(
                re.sub(r"[^A-Z0-9_-]", "?", answer[at + 2 : at + 2 + max(0, length)].decode("latin-1"))
            )
            at += 2 + length
    except struct.error:
        raise ValueError("no Kafka") from None
    if number != _NUMBER:
        raise ValueError("no Kafka")
    return found


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise ConnectionResetError("closed")
        data += part
    return data
