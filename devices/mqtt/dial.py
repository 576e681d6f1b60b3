"""Connecting: in a thread that nobody has to wait for, with password, TLS and the wishes of MQTT 5."""

import _thread
import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devices.credentials import credential_path, read_credential, why_not
from devices.errors import SourceRefused
from devices.mqtt.settings import Access, Settings
from devices.tls import Tls, TlsFileError, tls_context

C = TypeVar("C", bound=Client)

PACKET_LIMIT: Final = 16 * 1024 * 1024

ATTEMPTS: Final = 3
"""Attempts to connect of one source that may hang at the same time; each is given up, but its thread lives on."""


def packet_limit(settings: Settings) -> int:
    """What a broker may send in one packet, in bytes.

    Far above max_payload, so that what is too large is seen, counted and kept as a dead letter, and not dropped by the
    broker without a word; but bounded.
    """
    return max(PACKET_LIMIT, 2 * settings.max_payload)


def new_client(kind: type[C], settings: Settings, client_id: str, *, clean: bool) -> C:
    """A client that acknowledges nothing by itself and connects once. `clean`: with MQTT 3.1.1, to a new session."""
    return kind(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if settings.v5 else clean,
        protocol=MQTTProtocolVersion.MQTTv5 if settings.v5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )


class Dialer:
    """Runs what may block in threads that nobody has to wait for, a few at a time.

    Unlike asyncio.to_thread, it keeps no program from ending: a name server that does not answer can hold up
    getaddrinfo() for half a minute, and a thread cannot be told to give up.
    """

    def __init__(self) -> None:
        self._hanging = 0

    @property
    def busy(self) -> bool:
        """Whether as many threads as there may be still run."""
        return self._hanging >= ATTEMPTS

    async def run(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own, and raise what it raises. Not while `busy`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Exception | None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            self._hanging -= 1
            if not done.done():
                done.set_result(error)

        def body() -> None:
            error = None
            try:
                work()
            except Exception as raised:  # noqa: BLE001 - raised again by who waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, error)

        # Thread.start() would wait until the thread runs, and the loop with it: on a busy machine that takes a while.
        _thread.start_new_thread(body, ())
        self._hanging += 1  # only now, as it may fail; settle() comes later, for it waits for this loop
        if error := await done:
            raise error


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl's own signature
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def connect(client: Client, settings: Settings) -> None:
    """Bring up TCP and TLS and queue CONNECT, which asks for the session that the broker kept. Blocks.

    Raises:
        SourceRefused: the password or a certificate cannot be read.
        OSError, ValueError: whatever socket and ssl have to say.
    """
    identify(client, settings)
    host, port = settings.address
    if not settings.v5:
        client.connect(host, port, settings.keepalive)
        return
    wishes: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
    wishes.SessionExpiryInterval = settings.session_expiry
    wishes.ReceiveMaximum = settings.receive_maximum
    wishes.MaximumPacketSize = packet_limit(settings)
    client.connect(host, port, settings.keepalive, clean_start=False, properties=wishes)


def identify(client: Client, access: Access) -> None:
    """Let the client say who it is, and know whom to trust, once it connects.

    Raises:
        SourceRefused: see connect().
    """
    if access.username:
        client.username_pw_set(access.username, password(access) or None)
    if access.tls:
        client.tls_set_context(_trusting(access.tls))


def password(settings: Access) -> str:
    """The password; a file is read at each call, so that a change is found.

    Raises:
        SourceRefused: password_file cannot be read.
    """
    if not settings.password_file:
        return settings.password
    try:
        return read_credential(settings.password_file)
    except (OSError, ValueError) as error:
        path = credential_path(settings.password_file)
        raise SourceRefused(f"password_file {path} cannot be read: {why_not(error)}") from None


def _trusting(tls: bool | Tls) -> ssl.SSLContext:  # noqa: FBT001 - as the setting has it
    try:
        context = tls_context(tls)
    except TlsFileError as error:
        raise SourceRefused(str(error)) from None
    context.sslsocket_class = _Socket
    return context
