"""Which rows have to be written to the state topic, and rows from there."""

import numpy as np

from gateway.detect.rows import SPOOLED, Rows
from gateway.detect.snapshot import (
    GatewayState,
    SensorState,
    decode,
    encode,
    fingerprint,
    gateway_key,
    row_of,
    sensor_key,
)
from gateway.detect.state import Ints
from gateway.detect.storms import Storms

Written = tuple[bytes, bytes]


class Writer:
    """Keeps track of what has changed.

    Attributes:
        storms: of the gateways whose records it writes.
        reflected: by gateway, the offset that its restored state reflects.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._fresh = rows.table.fresh()
        self._layout = fingerprint(rows.table.dtype)
        self._gateway_layout = fingerprint(rows.heard.columns.dtype)
        self._changed: dict[int, None] = {}
        self._changed_gateways: dict[str, None] = {}
        self._gone: list[bytes] = []
        self._dirty_gateways: dict[str, None] = {}
        self._offset = -1
        self.storms = Storms()
        self.reflected: dict[str, int] = {}

    def judged(self, rows: Ints, offset: int) -> None:
        """These sensors had readings, up to this record."""
        self._rows.dirty[rows] = True
        self._offset = max(self._offset, offset)
        for name in self._rows.heard.named(np.unique(self._rows.heard.of[rows])):
            self._dirty_gateways[name] = None

    def changed_row(self, row: int) -> None:
        """It was changed by something else than a reading."""
        self._changed[row] = None
        self._changed_gateways[self._rows.sensor(row).gateway] = None

    def changed_gateway(self, gateway: str) -> None:
        """What is known of it was."""
        self._changed_gateways[gateway] = None

    def forgotten(self, row: int) -> None:
        """The sensor is about to be dropped."""
        sensor = self._rows.sensor(row)
        self._changed.pop(row, None)
        self._gone.append(sensor_key(sensor.key, sensor.device, sensor.sensor))

    def forgotten_gateway(self, gateway: str) -> None:
        """None of its sensors is remembered."""
        self.reflected.pop(gateway, None)
        self._gone.append(gateway_key(gateway))

    def changed(self) -> list[Written]:
        """See Bank."""
        written: list[Written] = [(key, b"") for key in self._gone]
        written += self._sensors(list(self._changed))
        written += [self._gateway(name) for name in self._changed_gateways if self._rows.heard.knows(name)]
        self._gone, self._changed, self._changed_gateways = [], {}, {}
        return written

    def snapshot(self, most: int) -> list[Written]:
        """See Bank."""
        # Gateways first: what a row reflects is not said again, so their storms must reflect it too, wherever this ends.
        # Forgotten ones take no room: a piece with nothing in it is the end of a sweep.
        dirty = [name for name in self._dirty_gateways if self._rows.heard.knows(name)]
        names, rest = dirty[:most], dirty[most:]
        self._dirty_gateways = dict.fromkeys(rest)
        written = [self._gateway(name) for name in names]
        rows = np.flatnonzero(self._rows.dirty)[: most - len(names)]
        return written + self._sensors(rows.tolist())

    def restore(self, key: bytes, value: bytes) -> tuple[int, set[str]] | None:
        """Take over a record; of a sensor its row, and the slots of the rules that judge it.

        Raises:
            StateError: see Bank.
        """
        if not value:
            return None
        state = decode(key, value)
        if isinstance(state, GatewayState):
            columns = self._rows.heard.columns
            row = row_of(state.row, state.layout, columns.fresh())
            self._rows.heard.load(state.gateway, row, state.gaps, state.absences)
            self.storms.load(state.gateway, state.storm)
            self.reflected[state.gateway] = state.offset
            return None
        row = row_of(state.row, state.layout, self._fresh)
        for (part, field), spool in zip(SPOOLED, state.spools, strict=False):
            row[part][field] = self._rows.spools.number(spool)
        known = self._rows.index.get((state.sensor.key, state.sensor.device, state.sensor.sensor))
        if known is not None:
            self._rows.drop(known)
        return self._rows.make(state.sensor, row)

    def _sensors(self, rows: list[int]) -> list[Written]:
        if not rows:
            return []
        which = np.array(rows)
        saved = self._rows.table.save(which)
        self._rows.dirty[which] = False
        spools = [saved[part][field].tolist() for part, field in SPOOLED]
        for part, field in SPOOLED:
            saved[part][field] = 0
        written: list[Written] = []
        for place, row in enumerate(rows):
            sensor = self._rows.sensor(row)
            names = [self._rows.spools.id(column[place]) for column in spools]
            state = SensorState(sensor, names, self._layout, saved[place].tobytes())
            written.append((sensor_key(sensor.key, sensor.device, sensor.sensor), encode(state)))
        return written

    def _gateway(self, name: str) -> Written:
        saved, gaps, absences = self._rows.heard.save(name)
        storm = self.storms.save(name)
        layout, row = self._gateway_layout, saved.tobytes()
        state = GatewayState(name, self._offset, storm, list(gaps), layout, row, list(absences))
        return gateway_key(name), encode(state)
