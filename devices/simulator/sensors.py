"""The sensors of a simulated device: what they measure, how they behave, and what is usual for them."""

from typing import Final

import msgspec

from devices.simulator import chance
from devices.simulator.signals import Constant, Daily, Noise, Signal, Sine


class Sensor(msgspec.Struct, frozen=True):
    """One sensor of one simulated device.

    Attributes:
        device, name, unit: as in its readings.
        signal: what it shows while nothing is wrong.
        sigma: standard deviation of its noise, in its unit.
        digits: decimals it shows.
        low, high: its signal stays within these, on every device and at all hours.
    """

    device: str
    name: str
    unit: str
    signal: Signal
    sigma: float
    digits: int
    low: float
    high: float


class _Model(msgspec.Struct, frozen=True):
    """What the sensors of one name have in common; `spread` is how far the means of two devices lie apart."""

    name: str
    unit: str
    mean: float
    spread: float
    swing: Signal
    sigma: float
    digits: int
    low: float
    high: float


_MODELS: Final = (
    _Model("temperature", "°C", 21.0, 1.0, Daily(4.0, peak=15), 0.1, 2, 15.0, 27.0),
    _Model("humidity", "%", 40.0, 2.0, Daily(6.0, peak=4), 0.3, 1, 28.0, 52.0),
    _Model("vibration", "mm/s", 3.0, 0.2, Sine(0.1, period=40), 0.05, 3, 2.0, 4.0),
)


def sensors_of(device: str, seed: int) -> list[Sensor]:
    """The sensors of a device: temperature and humidity in daily cycles, vibration in a cycle of its machine."""
    return [_sensor(device, model, seed) for model in _MODELS]


def _sensor(device: str, model: _Model, seed: int) -> Sensor:
    name = f"{seed}/{device}/{model.name}"
    mean = model.mean + model.spread * (2 * chance.uniform(name, "mean") - 1)
    signal = Constant(mean) + model.swing + Noise(model.sigma, name)
    return Sensor(device, model.name, model.unit, signal, model.sigma, model.digits, model.low, model.high)
