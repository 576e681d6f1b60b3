"""What a broker's no, or a failed connect, means, and what to do about it: one plain sentence each."""

import socket
import ssl
from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

from devices.errors import SourceError, SourceLost, SourceRefused
from devices.mqtt.settings import Access, Settings
from devices.tls import what_failed

_PASSING: Final = frozenset({128, 136, 137, 139, 151, 159})
"""Reason codes that pass by themselves: unspecified, unavailable, busy, shutting down, quota, rate exceeded."""

_ADVICE: Final = {
    132: 'it does not speak this version of MQTT; try version = "3.1.1"',
    133: "it does not like the client id; set client_id to one that it allows",
    134: "wrong user name or password; check username and password_file",
    135: "this user may not connect; check username and password_file, or the rights it has at the broker",
    138: "this client is banned there; ask who runs the broker",
    144: "it does not like status_topic; set one that it allows, or none",
    154: "it keeps no retained messages; remove status_topic",
    155: "it takes no messages of QoS 1; remove status_topic",
}

_KEEPALIVE: Final = 141
_TAKEN_OVER: Final = 142
_SHARED_UNSUPPORTED: Final = 158


class ClosedError(SourceLost):
    """The connection ended without a word: the broker stops, or, mosquitto 2.0, lets another client have the session."""


def connect_refused(code: ReasonCode, settings: Access) -> SourceError:
    """The broker answered CONNECT with `code`."""
    who = f"user {settings.username!r}" if settings.username else "a client without user name"
    advice = _ADVICE.get(code.value, f"it says: {code.getName()}")
    kind = SourceLost if code.value in _PASSING else SourceRefused
    return kind(f"broker {where(settings)} refuses {who}: {advice}")


def connection_ended(code: ReasonCode, settings: Settings, *, by_broker: bool) -> SourceError:
    """The connection is gone: the broker said goodbye with `code`, or paho found it broken and made up `code`."""
    at = f"broker {where(settings)}"
    if not by_broker:
        if code.value == _KEEPALIVE:
            return SourceLost(
                f"{at} did not answer for {settings.keepalive} s; does it hang, or the network?"
            )
        return ClosedError(f"{at} closed the connection")
    if code.value == _TAKEN_OVER:
        return SourceRefused(
            f"{at}: another client connected with the client id of this one; give each gateway and source a "
            "client_id of its own"
        )
    return SourceLost(f"{at} ended the connection; it says: {code.getName()}")


def closed_again(settings: Settings) -> SourceError:
    """The broker closed the connection without a word, and had not long before."""
    return ClosedError(
        f"broker {where(settings)} closes the connection again and again: look for another client with its client id, and "
        "give each gateway and source a client_id of its own; else the broker's log tells why"
    )


def subscribe_refused(code: ReasonCode, pattern: str, settings: Settings) -> SourceError:
    """The broker answered the subscription of `pattern` with `code`."""
    who = f"user {settings.username!r}" if settings.username else "clients without user name"
    advice = (
        "it knows no shared subscriptions; drop $share/GROUP/ from the pattern"
        if code.value == _SHARED_UNSUPPORTED
        else f"allow {who} to read it at the broker, or correct the pattern"
    )
    return SourceRefused(f"broker {where(settings)} refuses the topic {pattern!r}: {advice}")


def connect_failed(error: Exception, settings: Access) -> SourceError:
    """The connection did not come up because of `error`."""
    at = f"broker {where(settings)}"
    if (
        settings.tls
        and isinstance(error, OSError)
        and (why := what_failed(error, settings.address[0], settings.tls))
    ):
        passing = not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError)
        return (SourceLost if passing else SourceRefused)(
            f"{at}: {why}" if why.startswith("its") else f"{at} {why}"
        )
    match error:
        case ConnectionResetError():
            problem = "ended the connection while it came up; does it speak TLS there? Then set tls = true"
        case socket.gaierror():
            problem = "has a name that no name server knows; check broker, and the network of this machine"
        case TimeoutError():
            problem = "does not answer; check address, port and firewall, and that it speaks MQTT there"
        case ConnectionRefusedError():
            problem = "refuses connections; is it running, and is the port right?"
        case _:
            problem = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
    return SourceLost(f"{at} {problem}")


def session_lost(client_id: str, settings: Settings) -> str:
    """The broker knows nothing of a session that it should have kept."""
    return (
        f"broker {where(settings)} had forgotten the session {client_id!r}: what was published while the gateway was away is "
        "lost; let it keep sessions on disk (mosquitto: persistence true), and for longer than the gateway is away"
    )


def granted_less(settings: Settings) -> str:
    """The broker subscribed us, but with QoS 0."""
    return f"broker {where(settings)} grants QoS 0 only: what it sends while the connection breaks is lost; allow QoS 1 there"


def status_refused(code: ReasonCode, settings: Settings) -> str:
    """The broker does not take what the gateway says of itself."""
    return (
        f"broker {where(settings)} does not take what the gateway says on its status_topic: {code.getName()}; allow it to "
        "write there, or remove status_topic"
    )


def attempts_hang(settings: Settings) -> SourceError:
    """No further thread is spent on connecting while earlier ones hang."""
    return SourceLost(
        f"broker {where(settings)}: earlier attempts to connect still hang, mostly because a name server does not answer; "
        "check the network of this machine, or give the address of the broker instead of its name"
    )


def unreadable(error: Exception, settings: Settings) -> SourceError:
    """What came is no MQTT that paho understands."""
    return SourceLost(f"broker {where(settings)} sent what paho-mqtt cannot read ({type(error).__name__})")


def packet_too_large(limit: int, settings: Settings) -> SourceError:
    """A packet is arriving that must not be held in memory; only MQTT 5 can ask a broker for less."""
    return SourceRefused(
        f"broker {where(settings)} sends a packet of more than {limit} bytes: set message_size_limit in the broker, or "
        "delete the message there"
    )


def where(settings: Access) -> str:
    """`host:port` of the broker."""
    host, port = settings.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
