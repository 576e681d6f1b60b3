"""What simulated devices say: the readings of a device at one time as the bytes of a payload."""

import json
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from devices.framing.checksum import Sealing
from devices.simulator.sensors import Model

Format = Literal["json", "keyvalue"]


class Payload(NamedTuple):
    """One message or line.

    Attributes:
        device: whose.
        topic: what MQTT topics end with: the device; device/sensor if the payload names no sensor.
        data: its bytes, without a line end.
        readings: how many it holds.
        due: when it is said, in nanoseconds since 1970 UTC.
    """

    device: str
    topic: str
    data: bytes
    readings: int
    due: int


class Form:
    """How devices write: `{"temperature":21.53,"time":...}`, or `temperature=21.53 time=...`.

    Args:
        models: the sensors of each device.
        kind: json, or keyvalue.
        named: whether the payload names the device, or what carries it does.
        single: whether each reading goes by itself; named `value` where what carries it names the sensor.
        check: puts a checksum at the end; None: there is none.
    """

    def __init__(
        self,
        models: Sequence[Model],
        kind: Format,
        *,
        named: bool,
        single: bool,
        check: Sealing | None = None,
    ) -> None:
        self._models = models
        self._kind = kind
        self._named = named
        self._single = single
        self._check = check
        self._everything = tuple(range(len(models)))
        self._templates: dict[tuple[int, ...], bytes] = {}

    def payloads(self, device: str, values: Sequence[float | None], time: int) -> list[Payload]:
        """What a device with these values of its sensors, None where it is silent, says at `time`; perhaps nothing."""
        if self._single:
            return [
                self._payload(device, f"{device}/{model.name}", (place,), [value], time)
                for place, (model, value) in enumerate(zip(self._models, values, strict=True))
                if value is not None
            ]
        if None not in values:
            return [self._payload(device, device, self._everything, values, time)]
        present = tuple(place for place, value in enumerate(values) if value is not None)
        shown = [values[place] for place in present]
        return [self._payload(device, device, present, shown, time)] if present else []

    def _payload(
        self, device: str, topic: str, places: tuple[int, ...], values: Sequence[float | None], time: int
    ) -> Payload:
        template = self._template(places)
        data = template % ((device.encode(), *values, time) if self._named else (*values, time))
        return Payload(device, topic, self._check.seal(data) if self._check else data, len(values), time)

    def _template(self, places: tuple[int, ...]) -> bytes:
        """Bytes to be filled in: the device if payloads name it, the values of these sensors, the time."""
        found = self._templates.get(places)
        if found is None:
            found = self._templates[places] = self._drawn([self._models[place] for place in places])
        return found

    def _drawn(self, models: Sequence[Model]) -> bytes:
        alone = self._single and not self._named
        names = ["value" if alone else model.name for model in models]
        values = [
            f"{_QUOTED[self._kind] % name}%.{model.digits}f"
            for name, model in zip(names, models, strict=True)
        ]
        if self._kind == "json":
            device = ['"device":"%s"'] if self._named else []
            return ("{" + ",".join([*device, *values, '"time":%d']) + "}").encode()
        device = ["device=%s"] if self._named else []
        return " ".join([*device, *values, "time=%d"]).encode()


_QUOTED: Final = {"json": '"%s":', "keyvalue": "%s="}


def named_json(device: str, values: dict[str, object], time: int) -> bytes:
    """A payload that may hold any names and values: `{"device":"b7","t":21.5,"time":...}`."""
    return json.dumps(
        {"device": device, **values, "time": time}, ensure_ascii=False, separators=(",", ":")
    ).encode()
