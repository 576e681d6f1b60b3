"""The user that the service runs as, and what the permissions of files let that user do."""

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final, NamedTuple

READ: Final = 4
WRITE: Final = 2


class User(NamedTuple):
    """A user and all groups of it.

    Attributes:
        name: of it.
        uid: its number.
        gids: numbers of its groups.
    """

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, path: Path, wanted: int) -> bool:
        """Whether the permissions of `path`, and of the folders above it, let this user do what is `wanted`.

        Raises:
            OSError: they cannot be seen, or there is no such path.
        """
        real = path.resolve(strict=True)
        above = all(self._allowed(folder.stat(), 1) for folder in real.parents)
        return above and self._allowed(real.stat(), wanted)

    def _allowed(self, found: os.stat_result, wanted: int) -> bool:
        if self.uid == 0:
            return True
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid in self.gids else 0
        return stat.S_IMODE(found.st_mode) >> shift & wanted == wanted


def user_named(name: str, also: frozenset[str] = frozenset()) -> User | None:
    """The user with this name; a member of the groups `also`, too. None: there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    gids = {found.pw_gid}
    gids |= {one.gr_gid for one in grp.getgrall() if name in one.gr_mem or one.gr_name in also}
    return User(name, found.pw_uid, frozenset(gids))


def this_user() -> User:
    """Who runs this program."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return User(name, os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def is_there(path: Path) -> bool:
    """Whether there is such a path, as far as this user can see."""
    try:
        return path.exists()
    except OSError:  # in a folder that is closed to this user
        return False
