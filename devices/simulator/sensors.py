"""The sensors of a simulated device: what they measure, how they behave, and what is usual for them."""

import functools
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from devices.simulator import chance
from devices.simulator.signals import Constant, Daily, Noise, Part, Sine, Sum

Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,100}\Z", description="letters, digits, . _ / -, 1 to 100 of them")
]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sensors of one name have in common; a table in `sensors`.

    Attributes:
        name, unit: as in its readings.
        digits: decimals it shows.
        signal: what it shows while nothing is wrong; the parts are added up.
    """

    name: Name
    signal: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=20)]
    unit: Annotated[
        str,
        Meta(
            max_length=40,
            pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z",
            description="at most 40 characters, none of them a control character",
        ),
    ] = ""
    digits: Annotated[int, Meta(ge=0, le=9)] = 2


MODELS: Final = (
    Model("temperature", (Constant(21, spread=1), Daily(4, peak=15), Noise(0.1)), "°C", 2),
    Model("humidity", (Constant(40, spread=2), Daily(6, peak=4), Noise(0.3)), "%", 1),
    Model("vibration", (Constant(3, spread=0.2), Sine(0.1, period=40), Noise(0.05)), "mm/s", 3),
)
"""What a device has unless the configuration says otherwise: daily cycles, and the cycle of a machine."""


class Usual(msgspec.Struct, frozen=True):
    """What is usual for all sensors of a model, in its unit.

    Attributes:
        low, high: the range of its values, at all hours.
        sigma: how far it strays within an hour, and by its last digit at least.
    """

    low: float
    high: float
    sigma: float


class Sensor(msgspec.Struct, frozen=True, gc=False):
    """One sensor of one simulated device.

    Attributes:
        device: its name.
        model: see there.
        signal: the sum of the parts of the model.
        key: the chance that is its own; see chance.
    """

    device: str
    model: Model
    signal: Sum
    key: int

    def value_at(self, t: float) -> float:
        """What it shows `t` seconds after 1970 UTC while nothing is wrong. Pure."""
        return self.signal.value_at(t, self.key)

    def usual(self) -> Usual:
        """What is usual for it."""
        return _usual(self.signal, self.model.digits)


def sensors_of(device: str, seed: int, models: tuple[Model, ...] = MODELS) -> tuple[Sensor, ...]:
    """The sensors of a device, one of each model."""
    return tuple(
        Sensor(device, model, _sum(model.signal), chance.key_of(seed, device, model.name)) for model in models
    )


@functools.cache
def _sum(parts: tuple[Part, ...]) -> Sum:
    return Sum(parts)


@functools.cache
def _usual(signal: Sum, digits: int) -> Usual:
    low, high = signal.bounds()
    return Usual(low, high, max(signal.unrest(), 10.0**-digits))
