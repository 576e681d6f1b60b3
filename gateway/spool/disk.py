"""The durable queue: frames in segments, a cursor, and the repair of whatever a crash left behind."""

import contextlib
import secrets
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.spool.batch import Batch, Tally
from gateway.spool.cursor import Cursor
from gateway.spool.format import Frame, Header, State, decode_body, encode_frame, group
from gateway.spool.fs import Files
from gateway.spool.quarantine import Quarantine
from gateway.spool.recovery import recover
from gateway.spool.segment import Segment, after, total
from gateway.spool.writer import Writer

_log = structlog.get_logger()

SEGMENT_BYTES: Final = 4_000_000
"""A segment is dropped and deleted whole: small against the disk, large against what a commit costs."""

PROBE: Final = "probe"
RUNS_KEPT: Final = 100
EPOCH_BITS: Final = 40


class DiskFullError(OSError):
    """The bound in bytes is reached, and nothing may be dropped for it."""


class Disk:
    """Used from one thread at a time. After an OSError it stays usable: call again later.

    Attributes:
        id: of the spool; new when the lineage begins anew.
        run: id of this start.
        epoch: of this start; sequences begin at `(epoch << 40) + 1`.
        runs, forgotten: see State.
        position: where reading begins: everything up to this sequence is in Kafka, as far as was saved.
        trouble: why the start could not be made durable; empty if it was.
        quarantine: what was damaged.
    """

    def __init__(self, files: Files, capacity: int, *, drop_oldest: bool) -> None:
        """Recover what is there, as FORMAT.md says, and begin a new run. `capacity` is in bytes.

        Raises:
            OSError: the folder cannot be read.
        """
        self._files = files
        self.quarantine = Quarantine(files, capacity // 16)
        self.bound(capacity, drop_oldest=drop_oldest)
        self._gone: list[tuple[str, Tally]] = []
        self._cursor = Cursor(files)
        self.run = secrets.token_hex(8)
        found = recover(files, self._cursor.state, self.quarantine)
        self.segments = found.segments
        self._writer = Writer(files, found.number)
        self.id, self.position = found.state.spool, found.state.position
        self.epoch = found.state.epoch + 1
        self.runs = (*found.state.runs, self.run)[-RUNS_KEPT:]
        self.forgotten = max(found.state.forgotten, self.epoch + 1 - RUNS_KEPT)
        self.trouble = ""
        self._founded = False
        try:
            self.save(self.position)
        except OSError as error:
            # Nobody could know later that this epoch was used: so it counts under an id that nobody else has.
            self.id = secrets.token_hex(8)
            self.trouble = error.strerror or str(error)

    def bound(self, capacity: int, *, drop_oldest: bool) -> None:
        """How large it may become, in bytes, and what happens then. From any thread: it holds for the next write."""
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._segment_bytes = min(SEGMENT_BYTES, capacity // 8)
        self.quarantine.limit = capacity // 16

    @property
    def size(self) -> int:
        """Bytes of segments and quarantine."""
        return sum(segment.size for segment in self.segments) + self.quarantine.size

    @property
    def unread(self) -> Tally:
        """What read() has still to give."""
        tally = Tally()
        for segment in self.segments:
            tally.add(segment.unread)
        return tally

    @property
    def more(self) -> bool:
        """Whether read() has something to look at."""
        return any(not segment.exhausted for segment in self.segments)

    @property
    def oldest(self) -> int:
        """Receipt time of the first reading of the first segment that has unread ones; 0 if there is none."""
        return next((s.oldest for s in self.segments if not s.exhausted and s.oldest), 0)

    def collect(self) -> list[tuple[str, Tally]]:
        """What left the disk other than through read() since the last call: how, and how much.

        How is `delivered`, `damaged` or `drop-oldest`.
        """
        gone, self._gone = self._gone, []
        return gone

    def append(self, batches: Sequence[Batch], keep: int, position: int) -> int:
        """Write numbered batches in one commit; all are durable on return.

        If all that was here before has been read, about the first `keep` of them count as read too, as the caller
        keeps them in memory; returns how many do (whole frames). Where room is short, segments behind `position` go first.

        Raises:
            DiskFullError: the bound is reached.
            OSError: the disk refuses. None of the batches may be taken for durable.
        """
        if self.more:
            keep = 0
        groups = list(group(batches))
        frames = [encode_frame(one) for one in groups]
        data = b"".join(frame for _, frame in frames)
        if self._writer.segment and self._writer.segment.size >= self._segment_bytes:
            self._writer.seal()
        if self.size + len(data) > self._capacity:
            self.retire(position, all_of_it=False)
        self._make_room(len(data))
        if not self._founded:
            self.save(self.position)
        segment = self._writer.write(data, Header(self.id, self.run, batches[0].first))
        if segment not in self.segments:
            self.segments.append(segment)
        kept = 0
        end = segment.size
        for one, (summary, frame) in zip(groups, frames, strict=True):
            end += len(frame)
            segment.grow(end, summary)
            if kept + len(one) <= keep:
                kept += len(one)
                segment.pass_by(end, summary.tally())
            else:
                keep = 0
        return kept

    def read(self, size: int, position: int, *, by_block: bool = False) -> list[Batch]:
        """The next batches above `position`, about `size` bytes of memory; [] if there are none.

        With `by_block`, what the disk cannot read is damage, and reading goes on behind it.

        Raises:
            OSError: the disk cannot read; what was read so far comes with the next call.
        """
        taken: list[Batch] = []
        while size > 0 and (segment := next((s for s in self.segments if not s.exhausted), None)):
            try:
                found = segment.next(self._files, by_block=by_block)
            except OSError:
                if taken:
                    return taken
                raise
            if isinstance(found, Frame):
                batches = self._unpack(segment, found, position)
                taken += batches
                size -= sum(batch.size + batch.letter_size for batch in batches)
            else:
                self.quarantine.keep(segment.name, found)
                segment.at = found.end
            self._lose_rest(segment)
        return taken

    def retire(self, position: int, *, all_of_it: bool) -> None:
        """Delete segments that lie whole behind `position`; the one being written only if `all_of_it`.

        Raises:
            OSError: the disk refuses; nothing is lost, call again later.
        """
        if not (done := self._behind(position, all_of_it=all_of_it)):
            return
        self.save(position)
        for segment in done:
            if segment is self._writer.segment:
                self._writer.seal()
            self._remove(segment)

    def is_behind(self, position: int, *, all_of_it: bool) -> bool:
        """Whether retire() would delete anything. For any thread: at worst it is out of date."""
        return bool(self._behind(position, all_of_it=all_of_it))

    def save(self, position: int) -> None:
        """Write the cursor if the position moved; durable on return.

        Raises:
            OSError: the disk refuses.
        """
        state = State(self.id, self.epoch, max(position, self.position), self.runs, self.forgotten)
        if not self._founded:
            # Twice, so that damage to one slot cannot bring an older epoch or spool id back.
            self._cursor.save(state)
            self._cursor.save(state)
            self._founded = True
        elif state != self._cursor.state:
            self._cursor.save(state)
        self.position = state.position

    def begin_lineage(self) -> None:
        """A new spool id from now on; what is here stays. The id counts even if it raises.

        Raises:
            OSError: the disk refuses; save() makes it durable later.
        """
        self.id = secrets.token_hex(8)
        self._founded = False
        self._writer.seal()
        self.save(self.position)

    def mend(self, position: int) -> None:
        """Delete what lies behind `position`, as it may be what fills the disk, and find out whether it takes writes.

        A folder that was deleted is made again; what was in it and not read is lost, and counted as damaged.

        Raises:
            OSError: it does not.
        """
        if self._files.restore():
            self._writer.seal()
            self._gone += [("damaged", segment.unread) for segment in self.segments]
            self.segments.clear()
            self._cursor.forget()
            self._founded = False
        self.retire(position, all_of_it=True)
        file = self._files.open(PROBE)
        try:
            file.write(bytes(65_536), 0)
            file.datasync()
        finally:
            file.close()
            self._files.unlink(PROBE)
        self.save(self.position)

    def close(self) -> None:
        """Let go of the files. Writes nothing."""
        self._writer.seal()
        self._files.close()

    def _behind(self, position: int, *, all_of_it: bool) -> list[Segment]:
        done = [s for s in self.segments if s.exhausted and s.last <= position]
        return done if all_of_it else [s for s in done if s is not self._writer.segment]

    def _make_room(self, length: int) -> None:
        while self.size + length > self._capacity:
            victim = next((s for s in self.segments if not s.touched and s is not self._writer.segment), None)
            if victim is None or not self._drop_oldest:
                raise DiskFullError("the spool on disk is full")
            self._remove(victim)
            self._gone.append(("drop-oldest", victim.unread))

    def _remove(self, segment: Segment) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(segment.name)
        self.segments.remove(segment)

    def _unpack(self, segment: Segment, frame: Frame, position: int) -> list[Batch]:
        if frame.summary.last <= segment.floor:
            segment.at = frame.end
            return []
        try:
            counted = segment.counted(frame)
            if frame.summary.last <= position:
                batches = []
            else:
                batches = list(after(decode_body(frame.body), max(position, segment.floor)))
        except ValueError as error:
            _log.error("spool frame not understood", segment=segment.name, reason=str(error))
            segment.at = frame.end
            return []
        segment.pass_by(frame.end, counted)
        counted.take(total(iter(batches)))
        if counted:
            self._gone.append(("delivered", counted))
        return batches

    def _lose_rest(self, segment: Segment) -> None:
        """What was counted and never read when the end is reached was in damaged frames."""
        if segment.exhausted and segment.unread:
            self._gone.append(("damaged", segment.unread))
            segment.unread = Tally()
