"""Appends to segments, durably, and never trusts a descriptor again that failed."""

import contextlib

from gateway.spool.format import Header, encode_header
from gateway.spool.fs import File, Files
from gateway.spool.segment import SUFFIX, Segment


class Writer:
    """Used from one thread at a time.

    Attributes:
        segment: the one that the next write goes to; None if that will be a new one.
    """

    def __init__(self, files: Files, number: int) -> None:
        """`number`: the highest that a segment's name has."""
        self._files = files
        self._number = number
        self._file: File | None = None
        self.segment: Segment | None = None

    def write(self, data: bytes, header: Header) -> Segment:
        """Append `data` to the segment, or to a new one with this header; durable on return. The caller calls grow().

        Raises:
            OSError: the disk refuses. The next write begins a new segment.
        """
        try:
            if self.segment is None or self._file is None:
                return self._begin(data, header)
            self._file.write(data, self.segment.size)
            self._file.datasync()
        except OSError:
            self._abandon()
            raise
        return self.segment

    def seal(self) -> None:
        """The next write begins a new segment."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # all that counts was synced before
                self._file.close()
        self.segment = self._file = None

    def _begin(self, data: bytes, header: Header) -> Segment:
        self._number += 1
        self.segment = Segment(f"{self._number:08}{SUFFIX}")
        self._file = self._files.open(self.segment.name)
        self._file.write(encode_header(header) + data, 0)
        self._file.datasync()
        self._files.sync_dir()
        return self.segment

    def _abandon(self) -> None:
        """Cut off what may be there of a failed write, as far as the disk still does anything."""
        segment = self.segment
        self.seal()
        if segment is not None:
            with contextlib.suppress(OSError):
                if segment.last:
                    self._files.truncate(segment.name, segment.size)
                else:
                    self._files.unlink(segment.name)
