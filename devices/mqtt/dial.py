"""What connecting needs besides paho: a thread that nobody has to wait for, the password, a TLS context."""

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from devices.errors import SourceRefused
from devices.mqtt.settings import Settings, Tls


async def in_thread(work: Callable[[], None]) -> None:
    """Run what may block in a thread of its own, and raise what it raises.

    Unlike asyncio.to_thread, it keeps no program from ending: a name server that does not answer can hold up
    getaddrinfo() for half a minute.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Exception | None] = loop.create_future()

    def settle(error: Exception | None) -> None:
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

    threading.Thread(target=body, name="mqtt-connect", daemon=True).start()
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


def password(settings: Settings) -> str:
    """The password; a file is read at each call, so that a change is found.

    Raises:
        SourceRefused: password_file cannot be read.
    """
    if not settings.password_file:
        return settings.password
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / settings.password_file
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SourceRefused(f"password_file {path} cannot be read: {reason}") from None


def tls_context(tls: bool | Tls) -> ssl.SSLContext:  # noqa: FBT001 - as the setting has it
    """Checks the broker's certificate and name.

    Raises:
        SourceRefused: a file cannot be read, or is no such PEM file.
    """
    files = tls if isinstance(tls, Tls) else Tls()
    reading = f"tls.ca {files.ca}"
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
        if files.cert:
            reading = f"tls.cert {files.cert} with tls.key {files.key or files.cert}"
            context.load_cert_chain(files.cert, files.key or None)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise SourceRefused(f"{reading} cannot be used: {reason}; give the path of a PEM file") from None
    context.sslsocket_class = _Socket
    return context
