"""Being another user for a moment, as far as the kernel notes who connects to a Unix socket."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


@contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int] = ()) -> Iterator[None]:
    """The effective user, group and supplementary groups of this process are these; only root can do that."""
    if os.getuid() != 0:
        pytest.skip("only root can act as somebody else")
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
