"""Which keys of a configuration name files, and which of these hold a secret: told in one place."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

SECRET_FILE: Final = "_file"  # noqa: S105 - the end of a name
"""A key that ends so names a file that holds nothing but a secret."""

_OF_CLIENT: Final = ".location"
_PRIVATE: Final = frozenset({"ssl.key.location", "ssl.keystore.location"})
"""As librdkafka names files, and those of them that hold a private key."""


class Named(NamedTuple):
    """A file that a table names.

    Attributes:
        key: dotted, within that table.
        path: as it stands there; a relative one is looked up as devices.credentials has it.
        secret: whether it holds a password, a secret or a private key.
    """

    key: str
    path: str
    secret: bool

    @property
    def text(self) -> bool:
        """Whether it holds the secret and nothing else."""
        return self.key.endswith(SECRET_FILE)


def files_in(table: Mapping[str, Any], within: str = "") -> Iterator[Named]:
    """All files that a table names, and those within it; `within` is its own dotted key. An empty name is none."""
    name = within.rpartition(".")[2]
    for key, value in table.items():
        where = f"{within}.{key}" if within else key
        if isinstance(value, Mapping):
            yield from files_in(value, where)
        elif not isinstance(value, str) or not value:
            continue
        elif key.endswith((SECRET_FILE, _OF_CLIENT)):
            yield Named(where, value, secret=key.endswith(SECRET_FILE) or key in _PRIVATE)
        elif name == "tls":
            # Where no key is named, it stands beside the certificate.
            yield Named(where, value, secret=key == "key" or (key == "cert" and not table.get("key")))
        elif (name, key) == ("oauth", "ca"):
            yield Named(where, value, secret=False)
