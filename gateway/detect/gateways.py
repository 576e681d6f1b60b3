"""The silence of whole gateways, by their status records: one anomaly, and not one for each of their sensors."""

from typing import Final, Literal

import msgspec

from gateway.detect.events import Origin, Said, anomaly_id
from gateway.detect.text import duration
from gateway.wire import VERSION, Anomaly

RULE: Final = "gateway-silence"

_TIMES: Final = 3
_FLOOR: Final = 60_000_000_000
"""Nanoseconds: a gateway is silent after so many of its usual intervals, and not before this."""


class _Gateway(msgspec.Struct):
    key: bytes | None
    last: int
    heard: int
    every: int = 0
    silent: bool = False


class Gateways:
    """All gateways whose status is read. Pure: whoever reads the same at the same times says the same, under the same ids.

    Times are in nanoseconds: `at` by the clock of the gateway, `now` by that of this machine, so that no clock that is
    wrong makes silence.
    """

    def __init__(self) -> None:
        self._gateways: dict[str, _Gateway] = {}

    def seen(self, gateway: str, key: bytes | None, at: int, now: int) -> list[Said]:
        """A status of a gateway was read; what to say if it was silent."""
        known = self._gateways.get(gateway)
        if known is None:
            self._gateways[gateway] = _Gateway(key, at, now)
            return []
        said: list[Said] = []
        if known.silent:
            sentence = f"gateway {gateway} is back after {duration(at - known.last)} without a status"
            said.append(self._record(gateway, known, "cleared", sentence, at))
        elif at > known.last:
            known.every = at - known.last if known.every == 0 else min(at - known.last, 2 * known.every)
        known.key, known.last, known.heard, known.silent = key, max(at, known.last), now, False
        return said

    def gone(self, gateway: str) -> None:
        """It said goodbye: its silence is no anomaly."""
        self._gateways.pop(gateway, None)

    def overdue(self, now: int) -> list[Said]:
        """What to say of gateways that have been silent for too long by now; each once."""
        said: list[Said] = []
        for gateway, known in self._gateways.items():
            silent = now - known.heard
            if known.silent or silent <= max(_FLOOR, _TIMES * known.every):
                continue
            known.silent = True
            usual = f", usually one every {duration(known.every)}" if known.every else ""
            sentence = f"no status of gateway {gateway} for {duration(silent)}{usual}; none of its sensors can be judged"
            said.append(self._record(gateway, known, "raised", sentence, known.last + silent))
        return said

    def _record(
        self, gateway: str, known: _Gateway, event: Literal["raised", "cleared"], sentence: str, at: int
    ) -> Said:
        first = Origin("", known.last, known.last)
        anomaly = Anomaly(
            v=VERSION,
            id=anomaly_id(RULE, gateway, "", "", first),
            event=event,
            rule=RULE,
            grade="alarm",
            gateway=gateway,
            device="",
            sensor="",
            value=(at - known.last) / 1e9,
            sentence=sentence,
            since=known.last,
            time=at,
            spool="",
            seq=0,
            score=(at - known.last) / 1e9 if event == "raised" else 0.0,
            unit="s",
        )
        return Said(-1, known.key, anomaly)
