"""How full the spool is, as plain data for the status."""

import msgspec


class Depth(msgspec.Struct, frozen=True):
    """How full the spool is.

    Attributes:
        readings, letters: how many it holds, in memory and on disk; letters_spooled: how many letters are on disk.
        in_memory: readings by source that are in memory only.
        spooled: readings by source that are on disk.
        memory_size, memory_capacity: bytes that the former take, by estimate, and may take.
        disk_size, disk_capacity: bytes on disk, and how many there may be.
        segments: files on disk.
        oldest: receipt time of its oldest reading in nanoseconds since 1970 UTC; 0 if it holds none.
        quarantined: damaged stretches found since the start.
        copies: how many of these, and of starts before, are kept to be looked at.
        trouble: what the disk does not do, with what happens meanwhile; empty if all is well.
    """

    readings: int
    letters: int
    letters_spooled: int
    in_memory: dict[str, int]
    spooled: dict[str, int]
    memory_size: int
    memory_capacity: int
    disk_size: int
    disk_capacity: int
    segments: int
    oldest: int
    quarantined: int
    copies: int
    trouble: str
