"""The control socket: one JSON object a line, asked by gatewayctl, answered by the daemon.

The client half uses the standard library alone and imports nothing slow: `gatewayctl status` must be quick.
"""

import contextlib
import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

REQUEST_LIMIT: Final = 4096
"""Longest request in bytes. A request names a verb; nothing longer is meant."""

RESPONSE_LIMIT: Final = 4_000_000
REQUEST_TIMEOUT: Final = 5.0
"""Seconds a client may take to send its request before the daemon hangs up."""

SOCKET_NAME: Final = "gatewayd.sock"


class ControlError(Exception):
    """The daemon cannot be asked, lets us not ask, or said no. The text says why and what to do."""


class Refused(ControlError):
    """The daemon understood, looked, and said no."""


def socket_folders() -> list[Path]:
    """Where the socket may be, the likeliest first: systemd's run folder, the user's, a last resort for who has none."""
    folders = [Path("/run/gateway")]
    if user := os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(user) / "gateway")
    if os.getuid():
        folders.append(Path(f"/tmp/gateway-{os.getuid()}"))  # noqa: S108 - believed only if it is ours, see _may_be_there
    return folders


def daemon_socket(configured: str) -> Path:
    """Where the daemon puts its socket; see config.Control.socket."""
    if configured:
        return Path(configured)
    if from_systemd := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(from_systemd.split(":")[0]) / SOCKET_NAME
    folders = socket_folders()
    return (folders[0] if os.getuid() == 0 else folders[1]) / SOCKET_NAME


def find_socket(named: str = "") -> Path:
    """Where a client finds it: the one named, $GATEWAY_SOCKET, or the first that exists."""
    if named or (named := os.environ.get("GATEWAY_SOCKET", "")):
        return Path(named)
    paths = [folder / SOCKET_NAME for folder in socket_folders()]
    return next((path for path in paths if _may_be_there(path)), paths[0])


def _may_be_there(path: Path) -> bool:
    try:
        folder = path.parent.lstat()
        if path.parent.parent == Path("/tmp") and not (  # noqa: S108 - where anybody may make one
            stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.getuid()
        ):
            return False
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)  # which then says what to do
    return True


def ask(path: Path, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Ask the daemon one thing and return its answer. Blocks for at most about `timeout` seconds.

    Raises:
        ControlError: nobody answers, or, as Refused, the daemon said no.
    """
    with explained(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        send(link, path, request)
        answer = bytearray()
        while not answer.endswith(b"\n") and len(answer) < RESPONSE_LIMIT:
            part = link.recv(65_536)
            if not part:
                break
            answer += part
    return parsed(answer, path)


def send(link: socket.socket, path: Path, request: Mapping[str, Any]) -> None:
    """Connect, and send a request."""
    link.connect(str(path))
    with contextlib.suppress(BrokenPipeError):  # hung up on, and why is still to be read
        link.sendall(json.dumps(request).encode() + b"\n")


def parsed(answer: bytes | bytearray, path: Path) -> dict[str, Any]:
    """A line of an answer.

    Raises:
        ControlError: see ask().
    """
    try:
        response: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise ControlError(f"gatewayd at {path} gave an answer that is not JSON") from None
    if "error" in response:
        raise (ControlError if response.get("denied") else Refused)(str(response["error"]))
    return response


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Says what it means, and what to do, where the socket at `path` cannot be used.

    Raises:
        ControlError: in place of OSError and TimeoutError.
    """
    try:
        yield
    except PermissionError:
        raise ControlError(
            f"no permission to open {path}: join the group that owns it, `sudo usermod -aG gateway $USER` and log in again, "
            "or use sudo"
        ) from None
    except FileNotFoundError:
        raise ControlError(f"no gatewayd at {path}: is it running? `systemctl status gateway`") from None
    except ConnectionRefusedError:
        raise ControlError(
            f"gatewayd is not running; it left its socket {path} behind: `systemctl status gateway`"
        ) from None
    except (OSError, TimeoutError) as error:
        raise ControlError(
            f"gatewayd at {path} does not answer: {str(error) or 'it let the time run out, as if it hung or were stopped'}; "
            "`systemctl status gateway`"
        ) from None
