"""The control socket: one JSON object a line, asked by gatewayctl, answered by the daemon.

The client half uses the standard library alone and imports nothing slow: `gatewayctl status` must be quick.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

REQUEST_LIMIT: Final = 4096
"""Longest request in bytes. A request names a verb; nothing longer is meant."""

RESPONSE_LIMIT: Final = 4_000_000
REQUEST_TIMEOUT: Final = 5.0
"""Seconds a client may take to send its request before the daemon hangs up."""

SOCKET_NAME: Final = "gatewayd.sock"

Verb = Callable[[dict[str, Any]], dict[str, Any]]
"""Answers one kind of request. Called from the event loop's thread; must not block."""


class ControlError(Exception):
    """The daemon cannot be asked, or said no. The text says why and what to do."""


class Refused(ControlError):
    """The daemon answered, and said no."""


def socket_folders() -> list[Path]:
    """Where the socket may be, the likeliest first: systemd's run folder, the user's, a last resort."""
    folders = [Path("/run/gateway")]
    if user := os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(user) / "gateway")
    folders.append(Path(f"/tmp/gateway-{os.getuid()}"))  # noqa: S108 - made with mode 0750 and checked
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
    return next((path for path in paths if path.exists()), paths[0])


def ask(path: Path, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Ask the daemon one thing and return its answer. Blocks for at most about `timeout` seconds.

    Raises:
        ControlError: nobody answers, or, as Refused, the daemon said no.
    """
    with explained(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        link.connect(str(path))
        link.sendall(json.dumps(request).encode() + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n") and len(answer) < RESPONSE_LIMIT:
            part = link.recv(65_536)
            if not part:
                break
            answer += part
    try:
        response: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise ControlError(f"gatewayd at {path} gave an answer that is not JSON") from None
    if "error" in response:
        raise Refused(str(response["error"]))
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
            f"no permission to open {path}: join the group that owns it, `sudo usermod -aG gateway $USER`, or use sudo"
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
