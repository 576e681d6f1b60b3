"""Who is at the other end of a Unix socket: what the kernel noted when it connected, which no peer can make up."""

import ctypes
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple, Protocol

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS: Final = 59  # include/uapi/asm-generic/socket.h, Linux 4.13; Python has no name for it
_MOST_GROUPS: Final = 65_536  # NGROUPS_MAX
_GROUP_FILE: Final = Path("/etc/group")


class Link(Protocol):
    """A connected socket."""

    def fileno(self) -> int: ...  # noqa: D102

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...  # noqa: D102


class Peer(NamedTuple):
    """A process as it was when it connected.

    Attributes:
        pid, uid: its number, its effective user.
        groups: its effective group and its supplementary ones.
    """

    pid: int
    uid: int
    groups: frozenset[int]


class Members(NamedTuple):
    """Those who may do everything: root, the user of the service itself, and the group of its socket."""

    uid: int
    gid: int

    def have(self, peer: Peer) -> bool:
        """Whether he is one of them."""
        return peer.uid in {0, self.uid} or self.gid in peer.groups

    def __str__(self) -> str:
        """Who they are, and how to become one."""
        if not self.gid:
            return "root: use sudo"
        name = group_name(self.gid)
        return (
            f"root, the user of gatewayd and the group {name}: "
            f"`sudo usermod -aG {name} $USER` and log in again, or use sudo"
        )


def peer_of(link: Link) -> Peer:
    """Who connected. Asks the kernel only, never the user database: that may be far away and slow.

    Raises:
        OSError: this is no connected Unix socket.
    """
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    return Peer(pid, uid, frozenset([gid, *_supplementary(link)]))


def _supplementary(link: Link) -> tuple[int, ...]:
    """None where the kernel does not tell."""
    room = ctypes.create_string_buffer(4 * _MOST_GROUPS)  # socket.getsockopt() has room for 256 of them
    size = ctypes.c_uint32(len(room))
    option = (socket.SOL_SOCKET, _SO_PEERGROUPS, room, ctypes.byref(size))
    if ctypes.CDLL(None).getsockopt(link.fileno(), *option):
        return ()
    return struct.unpack_from(f"{size.value // 4}I", room)


def group_name(gid: int) -> str:
    """What this machine calls a group; its number if that is not in its own file. A few lines: nothing blocks."""
    try:
        lines = _GROUP_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[0] for line in lines if line.split(":")[2:3] == [str(gid)]), str(gid))
