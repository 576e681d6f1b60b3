"""Every state that a power cut can leave behind, at every moment of a session, goes through recovery."""

from spooling import batch_of, values

from gateway.spool.batch import Batch
from gateway.spool.disk import Disk
from gateway.spool.segment import SUFFIX
from gateway.testing_fs import FaultFiles, failing

CAPACITY = 8_000


def disk_on(files: FaultFiles) -> Disk:
    """Segments of a kilobyte, so that a short session has several."""
    return Disk(files, CAPACITY, drop_oldest=False)


def everything(disk: Disk) -> list[Batch]:
    found = []
    while batches := disk.read(10**6, disk.position):
        found += batches
    return found


class Session:
    """A spool session that checks, after every operation, what each possible power cut would leave.

    Attributes:
        states: how many states were recovered.
    """

    def __init__(self, sector: int, *, twice: bool = False) -> None:
        """Writes tear at multiples of `sector`; with `twice`, the power goes again at every moment of the recovery."""
        self.files = FaultFiles()
        self.states = 0
        self._sector = sector
        self._twice = twice
        self._appended: dict[int, int] = {}  # sequence -> value
        self._durable = 0  # sequences up to this one were promised
        self._committed = 0  # sequences up to this one Kafka has
        self._saved = 0  # and this one was durable when said so
        self._number = 0
        self._next = 0
        self.files.after = self.check
        self.begin()

    def begin(self) -> None:
        self.disk = disk_on(self.files)
        self._next = (self.disk.epoch << 40) + 1

    def append(self, sizes: list[int]) -> None:
        batches = []
        for size in sizes:
            batch = batch_of(range(self._number, self._number + size))
            self._number += size
            self._next = batch.number(self._next)
            batches.append(batch)
            self._appended |= dict(zip(range(batch.first, batch.last + 1), values([batch]), strict=True))
        try:
            self.disk.append(batches, 0, self._committed)
        except OSError:
            self.disk.append(batches, 0, self._committed)  # as the spool does: again, from memory
        self._durable = self._next - 1

    def deliver(self, size: int) -> None:
        if batches := self.disk.read(size, self._committed):
            self._committed = batches[-1].last

    def retire(self, *, all_of_it: bool) -> None:
        self.disk.retire(self._committed, all_of_it=all_of_it)
        self._saved = self.disk.position

    def check(self) -> None:
        for state in self.files.crash_states(self._sector):
            self.states += 1
            self._recover(state)

    def _recover(self, state: dict[str, bytes]) -> None:
        again = FaultFiles(state)
        moments: list[dict[str, bytes]] = []
        if self._twice:
            again.after = lambda: moments.extend(again.crash_states())
        disk = disk_on(again)
        again.after = lambda: None
        assert disk.position <= self._committed
        assert disk.position >= self._saved
        found = everything(disk)
        sequences = [b.first + n for b in found for n in range(len(b))]
        assert sequences == sorted(set(sequences)), "order, or a repetition"
        assert all(s > disk.position for s in sequences), "sent again although the position was saved"
        assert values(found) == [self._appended[s] for s in sequences], "another value under this sequence"
        owed = [s for s in self._appended if disk.position < s <= self._durable]
        assert not set(owed) - set(sequences), "safe, or behind no saved position, and lost"
        assert not disk.collect()
        assert (disk.epoch << 40) >= self._next - 2, "a sequence could be given twice"
        for moment in [again.contents(), *moments]:
            self.states += 1
            assert values(everything(disk_on(FaultFiles(moment)))) == values(found), "a crash in recovery"


def play(session: Session) -> None:
    """A session that begins segments, commits in groups, delivers, trims, retires and starts anew."""
    session.append([5])
    session.append([3, 4])
    session.deliver(2000)
    session.append([20, 20])
    session.append([60])
    session.append([2])
    session.deliver(10**6)
    session.append([4])
    session.retire(all_of_it=False)
    session.disk.close()
    session.begin()
    session.append([6])
    session.append([80])
    session.append([1])
    session.deliver(10**6)
    session.retire(all_of_it=True)
    session.append([3])
    session.disk.save(session.disk.position)


def test_no_power_cut_at_any_moment_loses_what_was_safe_or_repeats_what_was_saved() -> None:
    session = Session(sector=4)
    play(session)

    assert any(name.startswith("unlink") for name in session.files.trace)
    assert sum(name.startswith("make") for name in session.files.trace) > 4
    print(f"{session.states} states after {len(session.files.trace)} operations")
    assert session.states > 5000


def test_a_power_cut_in_the_middle_of_a_recovery_changes_nothing() -> None:
    session = Session(sector=256, twice=True)
    play(session)

    print(f"{session.states} states")
    assert session.states > 1000


def test_a_sync_or_write_that_fails_at_any_moment_and_then_a_power_cut_loses_nothing() -> None:
    states = 0
    for operation in ("datasync", "write"):
        for number in range(2, 8):
            session = Session(sector=128)
            left = [number]

            def hook(at: str, of: str, left: list[int] = left, operation: str = operation) -> None:
                if at == operation and of.endswith(SUFFIX):
                    left[0] -= 1
                    if left[0] == 0:
                        failing(at, 5)(at, of)

            session.files.hook = hook
            play(session)
            assert left[0] <= 0, "nothing failed"
            states += session.states
    print(f"{states} states")
    assert states > 5000
