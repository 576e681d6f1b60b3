"""Whatever happens in whatever order, the spool behaves as a plain list that forgets nothing it promised."""

import asyncio
import errno
import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from spooling import Listener, Rig, values
from structlog.testing import capture_logs

from gateway.spool.format import HEADER_SIZE, Frame, decode_body, scan
from gateway.testing_fs import FaultFiles, failing

SETTINGS: dict[str, Any] = {"disk_bytes": 16_000, "memory_bytes": 10**9, "when_full": "drop-newest"}


class Model(RuleBasedStateMachine):
    """The list is the numbers 0, 1, 2, ... in order of intake."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.rig = Rig(**SETTINGS)
        self.source = Listener()
        self.next = 0
        self.delivered: list[int] = []  # by Kafka, in order
        self.position = 0  # that Kafka has
        self.damaged: set[int] = set()  # numbers that damage may cost
        self.floor = 0  # deliveries from here on must be in order

    @rule(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def append(self, sizes: list[int]) -> None:
        for size in sizes:
            numbers = range(self.next, self.next + size)
            self.rig.append(numbers, self.source, numbers)
            self.next += size

    @rule()
    def spill(self) -> None:
        with capture_logs():
            self.loop.run_until_complete(self.rig.spill())

    @rule(operation=st.sampled_from(["write", "datasync", "sync_dir", "open", "unlink"]))
    def spill_on_a_disk_that_fails(self, operation: str) -> None:
        self.rig.files.hook = failing(operation, errno.EIO)
        self.spill()
        self.rig.files.hook = lambda _, __: None

    @rule(limit=st.integers(1, 200), share=st.floats(0, 1))
    def deliver(self, limit: int, share: float) -> None:
        if self.rig.spool._emptied.is_set():
            return
        with capture_logs():
            batches = self.loop.run_until_complete(self.rig.spool.read(limit))
        batches = batches[: max(1, round(len(batches) * share))]
        if batches:
            self.delivered += values(batches)
            self.position = batches[-1].last
            self.rig.spool.commit(self.position)

    @rule(all_of_it=st.booleans())
    def tidy(self, all_of_it: bool) -> None:  # noqa: FBT001 - what hypothesis draws
        spool = self.rig.spool
        work = spool._body.write(lambda: spool._body.disk.retire(spool.position, all_of_it=all_of_it))
        self.loop.run_until_complete(work)

    @rule(choice=st.integers(0, 10**6), exactly_once=st.booleans())
    def crash(self, choice: int, exactly_once: bool) -> None:  # noqa: FBT001
        states = list(itertools.islice(self.rig.files.crash_states(64), 500))
        self.reopen(states[choice % len(states)], exactly_once=exactly_once)

    @rule(exactly_once=st.booleans())
    def stop_and_start(self, exactly_once: bool) -> None:  # noqa: FBT001
        with capture_logs():
            self.loop.run_until_complete(self.rig.spool.close())
        self.reopen(self.rig.files.contents(), exactly_once=exactly_once)

    @precondition(lambda self: len(self.rig.files.names()) > 1)
    @rule(choice=st.integers(0, 10**6), bits=st.integers(1, 255))
    def damage(self, choice: int, bits: int) -> None:
        names = sorted(name for name in self.rig.files.names() if name.endswith(".seg"))
        if not names:
            return
        name = names[choice % len(names)]
        data = self.rig.files.contents()[name]
        if not data:
            return
        at = choice % len(data)
        for frame in scan(data, HEADER_SIZE):
            if isinstance(frame, Frame) and frame.start <= at < frame.end:
                self.damaged |= set(values(decode_body(frame.body)))
        self.rig.files.flip(name, at, bits)

    def reopen(self, contents: dict[str, bytes], *, exactly_once: bool) -> None:
        with capture_logs():
            self.rig = Rig(FaultFiles(contents), **SETTINGS)
        if exactly_once:
            self.rig.spool.commit(self.position)
        else:
            self.floor = len(self.delivered)  # what was not saved may come again, under the same sequence

    @invariant()
    def the_ledger_balances(self) -> None:
        assert self.rig.balanced

    @invariant()
    def deliveries_are_in_order_and_none_is_repeated(self) -> None:
        since = self.delivered[self.floor :]
        assert since == sorted(set(since))

    def teardown(self) -> None:
        with capture_logs():
            self.delivered += self.loop.run_until_complete(self.rig.drain())
        self.loop.close()
        self.deliveries_are_in_order_and_none_is_repeated()
        promised = {number for numbers in self.source.heard for number in numbers}
        assert promised - set(self.delivered) <= self.damaged, "safe, and lost"
        assert self.rig.balanced


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase
