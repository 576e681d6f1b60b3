"""The receiving end of journald's socket, which reads the native protocol by its documentation."""

import fcntl
import os
import socket
import struct
from pathlib import Path

ALL_SEALS = 0b1111


class FakeJournald:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)

    def receive(self) -> dict[str, str]:
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, 64)
        for _, _, payload in ancillary:
            with os.fdopen(struct.unpack("i", payload)[0], "rb") as whole:
                assert fcntl.fcntl(whole.fileno(), 1034) == ALL_SEALS  # F_GET_SEALS; journald refuses others
                whole.seek(0)
                data = whole.read()
        return fields_of(data)


def fields_of(data: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields
