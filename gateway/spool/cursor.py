"""The cursor file: who this spool is and how far Kafka has it, in two slots that are overwritten in turn."""

from contextlib import suppress

from gateway.spool.format import SLOT_SIZE, State, decode_slot, encode_slot
from gateway.spool.fs import Files

NAME = "cursor"


class Cursor:
    """Used from one thread at a time.

    Attributes:
        state: what was last read or saved; None if neither slot is valid.
    """

    def __init__(self, files: Files) -> None:
        """Read it; a slot that cannot be read is not valid."""
        self._files = files
        self._generation = 0
        self._named = NAME in files.names()
        self.state: State | None = None
        for slot in (0, 1) if self._named else ():
            found = None
            with suppress(OSError):
                found = decode_slot(files.read(NAME, slot * SLOT_SIZE, SLOT_SIZE))
            if found and found[0] > self._generation:
                self._generation, self.state = found

    def save(self, state: State) -> None:
        """Durable on return. If it raises, the state before still counts, or this one does.

        Raises:
            OSError: as the disk says. Call again later: the same slot is written again, on a new descriptor.
        """
        generation = self._generation + 1
        file = self._files.open(NAME)
        try:
            file.write(encode_slot(generation, state), generation % 2 * SLOT_SIZE)
            file.datasync()
        finally:
            file.close()
        if not self._named:
            self._files.sync_dir()
            self._named = True
        self._generation, self.state = generation, state

    def forget(self) -> None:
        """The file is gone: the next save() makes it anew."""
        self._named = False
