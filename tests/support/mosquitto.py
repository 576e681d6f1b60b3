"""A real mosquitto for the tests, on a free loopback port that it keeps over restarts."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import paho.mqtt.publish
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from waiting import wait_until

HOST: Final = "127.0.0.1"
DYNAMIC_SECURITY: Final = "mosquitto_dynamic_security.so"


class Mosquitto:
    """A broker whose sessions and messages outlive it in `folder`, as a broker in the field keeps them.

    `config` is added to the configuration. Anybody may connect unless it says otherwise.
    """

    def __init__(self, folder: Path, config: str = "", port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous true" if "allow_anonymous" not in config else "",
            "user root" if os.geteuid() == 0 else "",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "set_tcp_nodelay true",
            config,
        ]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again; return when it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program() or "mosquitto", "-c", self._config],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_until(self._answers, "mosquitto listens")

    def stop(self) -> None:
        """Let it end in order: it writes its sessions to disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def forget(self) -> None:
        """Be as one that was restarted without persistence: no session, no message."""
        self.stop()
        (self.folder / "mosquitto.db").unlink(missing_ok=True)
        self.start()

    def end_session(self, client_id: str) -> None:
        """End the session of `client_id`, as a client of that name that wants a clean one does."""
        with _client(self.port, client_id):
            pass

    def retained(self, topic: str) -> bytes | None:
        """The message that it keeps on `topic`; None if there is none."""
        found: list[bytes] = []
        with _client(self.port, "") as client:
            client.on_message = lambda _client, _data, message: found.append(bytes(message.payload))
            over: list[bool] = []
            client.on_unsubscribe = lambda *_: over.append(True)
            client.subscribe(topic)
            client.unsubscribe(topic)  # its answer comes behind what is retained
            wait_until(lambda: client.loop(0.01) == 0 and over, "an answer of the broker")
        return found[0] if found else None

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed."""
        return self._process is not None

    def freeze(self) -> None:
        """Let it live on and do nothing, as a broker behind a dead link seems to."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def publish(
        self, topic: str, *payloads: str | bytes, qos: int = 1, retain: bool = False, ca: Path | None = None
    ) -> None:
        """Publish, with TLS if `ca` is given, and wait for the acknowledgements."""
        tls: Any = {"ca_certs": str(ca)} if ca else None
        messages: list[Any] = [(topic, payload, qos, retain) for payload in payloads]
        paho.mqtt.publish.multiple(messages, HOST, self.port, tls=tls)

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise AssertionError(f"mosquitto ended: {(self.folder / 'mosquitto.log').read_text()}")
        with suppress(OSError), socket.create_connection((HOST, self.port), 1):
            return True
        return False

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(10)


@contextmanager
def _client(port: int, client_id: str) -> Iterator[Client]:
    """A client with a clean session, connected within the block."""
    client = Client(CallbackAPIVersion.VERSION2, client_id)
    client.connect(HOST, port)
    wait_until(lambda: client.loop(0.01) == 0 and client.is_connected(), "a client is connected")
    yield client
    client.disconnect()


def program() -> str | None:
    """Path of mosquitto, which Debian keeps out of the PATH of ordinary users."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def dynamic_security() -> str:
    """Path of the plugin that can refuse subscriptions; empty if there is none."""
    found = sorted(Path("/usr/lib").glob(f"**/{DYNAMIC_SECURITY}"))
    return str(found[0]) if found else ""


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def password_file(path: Path, user: str, password: str) -> None:
    """Make a password file for `user`."""
    _run(["mosquitto_passwd", "-b", "-c", path, user, password])


def certificates(folder: Path) -> None:
    """Make `ca.pem` and, signed by it for 127.0.0.1, `server.pem` with `server.key`; and a stranger, `other.pem`."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name in ("ca", "other"):
        files: list[object] = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        _run(["openssl", "req", "-x509", *curve, "-subj", f"/CN={name} of the tests", *files])
    key, request, names = folder / "server.key", folder / "server.csr", folder / "names"
    files = ["-keyout", key, "-out", request]
    _run(["openssl", "req", *curve[:-2], "-subj", "/CN=broker", *files])
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    files = ["-in", request, "-extfile", names, "-out", folder / "server.pem"]
    signer = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2"]
    _run(["openssl", "x509", "-req", *files, *signer])


def _run(command: Sequence[object]) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=30)
