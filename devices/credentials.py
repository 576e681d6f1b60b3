"""Secrets in files of their own: where those are, and what is in them."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

NOT_SHOWN: Final = "(not shown)"
"""In place of a secret."""

_IN_URL: Final = re.compile(r"(?<=[^\s/:@'\"]:)[^\s/@'\"]+(?=@)")


class EmptyCredentialError(ValueError):
    """There is nothing in the file."""


def credential_path(name: str) -> Path:
    """A relative path is looked up in $CREDENTIALS_DIRECTORY, where systemd puts credentials, if that is set."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / name


def read_credential(name: str) -> str:
    """What the file holds, without the end of its last line. Blocks.

    Raises:
        OSError, ValueError: it cannot be read, is no UTF-8 text, or is empty; why_not() says it in words.
    """
    content = read_file(credential_path(name)).decode("utf-8").rstrip("\r\n")
    if not content:
        raise EmptyCredentialError
    return content


def read_file(path: Path) -> bytes:
    """What is in a file, and nothing else: a pipe would be waited for, and a device may have no end. Blocks.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: its name holds a NUL character.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:  # noqa: PTH123 - a descriptor
        mode = os.fstat(opened.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        return opened.read()


def why_not(error: OSError | ValueError) -> str:
    """Why a credential cannot be read, in words."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case EmptyCredentialError():
            return "it is empty"
    return "its name holds a NUL character"


def without_passwords(text: str) -> str:
    """The same without those that somebody wrote before a host, as in `mqtt://user:password@host`, where none belongs."""
    return _IN_URL.sub(NOT_SHOWN, text)
