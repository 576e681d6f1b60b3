"""The readings of detection's laboratory: some hundred sensors that give every rule something to say, over and over.

All of it follows from the seed. Time in them runs much faster than that of the wall: a sensor has some 1,500 readings a day.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

import devices.reading
from devices.reading import Quality
from gateway.wire import encode_reading

SECOND: Final = 1_000_000_000
NOON: Final = 1_767_355_200 * SECOND
STEP: Final = 55 * SECOND
"""Between two readings of a sensor, in nanoseconds."""

STRICT: Final = ("gw-1", "gw-2", "gw-3")
LOOSE: Final = "gw-loose"
"""Its sensors fall silent, and what is said of silence, and so of storms, depends on when it is asked. The others are not
asked."""

TOLD: Final = "told-"
"""So begin the names of its devices whose anomalies are accepted or called a fault, whenever that is heard of."""

DEVICES: Final = 3
SENSORS: Final = 18

WARM_UP: Final = 1_650
"""Steps after which all rules may speak."""

SETTINGS: Final = """
[[rules]]
sensor = "hot-*"
limits = { high = 40.0, hysteresis = 1.0 }
[[rules]]
sensor = "fast-*"
rate = { per_s = 0.05 }
[[rules]]
device = "plant-*"
silence = false
[[rules]]
spike_aggregate = { warm_up = 40 }
"""
"""Of gateway-detect, for this fleet; all else is as by default."""

SPEAK: Final = frozenset(
    {
        ("limits", "alarm"),
        ("rate", "alarm"),
        ("rate", "advisory"),
        ("stuck", "alarm"),
        ("never-seen", "alarm"),
        ("spike", "advisory"),
        ("spike-aggregate", "advisory"),
        ("storm", "alarm"),
    }
)
"""Rules that run on readings, and the grades of what they have to say of this fleet."""

ODD: Final = frozenset({"not_numeric", "retained", "repeated", "late"})
"""Counts of a bank that have to grow."""

ODD_VALUES: Final[tuple[devices.reading.type_of_value, ...]] = ("NaN", "inf", True, 1e308, -1e300)
"""No numbers, and such as nothing measures."""

EPISODES: Final = ("hot", "fast", "wild", "stuck", "mean", "spiky")


class Sent(NamedTuple):
    """A record of the readings topic."""

    key: str
    value: bytes


class Sensor:
    """A daily cycle with noise, and now and then an episode of what its name says."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.kind = EPISODES[number % len(EPISODES)]
        self.name = f"{self.kind}-{number // len(EPISODES)}"
        self._chance = chance
        self._base = chance.uniform(15, 25)
        self._shape: list[float] = []
        self._held: float | None = None
        self._amplitude = 10.0

    def value(self, step: int, more: float) -> float:
        """The next one, with something added by what happens to its whole gateway."""
        chance = self._chance
        if not self._shape and chance.random() < 1 / 120:
            self._begin()
        shift = self._shape.pop() if self._shape else 0.0
        day = step % 1570 / 1570
        value = round(self._base + 12 * day * (1 - day) + chance.gauss(0, 0.3) + shift + more, 2)
        if self.kind != "stuck" or not self._shape:
            self._held = None
            return value
        if self._held is None:
            self._held = value
        return self._held

    def _begin(self) -> None:
        chance = self._chance
        match self.kind:
            case "hot":  # the last one comes first
                self._shape = [3.0, 8.0, chance.uniform(60, 90), 50.0, 30.0, 28.0][chance.randrange(3) :]
            case "fast":
                self._shape = [chance.uniform(8, 20)] * chance.randint(1, 4)
            case "wild":  # each is news to those who saw all others
                self._amplitude = min(2.2 * self._amplitude, 1e20)
                self._shape = [chance.choice([-1, 1]) * self._amplitude * each for each in (1.0, 3.0, 1.0)]
            case "stuck":
                self._shape = [0.0] * chance.randint(45, 90)
            case "mean":
                self._shape = [1.5] * 70
            case "spiky":
                self._shape = [chance.choice([-1, 1]) * chance.uniform(3, 15)]


class Device:
    """Sends the readings of its sensors in one piece, in the order of time, mostly."""

    def __init__(self, gateway: str, name: str, chance: random.Random) -> None:
        self.key = f"{gateway}/{name}"
        self._gateway, self._name, self._chance = gateway, name, chance
        self._sensors = [
            Sensor(number, random.Random(f"{chance.random()}/{number}")) for number in range(SENSORS)
        ]
        self._set_back = 0
        self._quiet: dict[str, int] = {}

    def readings(
        self, step: int, at: int, storm: tuple[float, int]
    ) -> Iterator[tuple[devices.reading.Reading, bool]]:
        """Those of one step, received `at`, and whether each is sent twice.

        A storm hits half of the sensors in each of its steps: its size, and how many of these are left.
        """
        chance = self._chance
        if chance.random() < 1 / 3000:
            self._set_back += 20 * STEP
        for number, sensor in enumerate(self._sensors):
            more = storm[0] if storm[1] and (number + storm[1]) % 2 == 0 else 0.0
            value: devices.reading.type_of_value = sensor.value(step, more)
            if self._is_quiet(sensor.name, step) or chance.random() < 0.03:
                continue
            time, quality = at - chance.randrange(SECOND // 100) - self._set_back, Quality.GOOD
            odd = chance.random()
            if odd < 0.003:
                value = chance.choice(ODD_VALUES)
            elif odd < 0.006:
                quality |= Quality.RETAINED
            elif odd < 0.02:
                quality |= Quality.CLOCK_UNSET
            elif odd < 0.025:
                time -= 5 * STEP
            one = devices.reading.Reading(self._name, sensor.name, value, time, "line", at, "°C", quality)
            yield one, chance.random() < 0.005

    def _is_quiet(self, sensor: str, step: int) -> bool:
        if self._gateway != LOOSE:
            return False
        if step > 120 and self._quiet.get(sensor, 0) < step - 50 and self._chance.random() < 1 / 300:
            self._quiet[sensor] = step + self._chance.randint(30, 60)
        return self._quiet.get(sensor, 0) > step


class Fleet:
    """Endless; see above. Attributes: steps, how many were made; sent, how many records."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(f"{seed}/fleet")
        names = {
            gateway: [f"plant-{gateway}-{number}" for number in range(DEVICES)] for gateway in STRICT
        } | {LOOSE: ["loose-0", "loose-1", f"{TOLD}0"]}
        self._devices = {
            gateway: [Device(gateway, name, random.Random(f"{seed}/{name}")) for name in those]
            for gateway, those in names.items()
        }
        self._seq = dict.fromkeys(names, 0)
        self._spool = dict.fromkeys(names, 1)
        self._storm = dict.fromkeys(names, (0.0, 0))
        self.steps = 0
        self.sent = 0

    def step(self) -> Iterator[list[Sent]]:
        """What comes next, a device after the other."""
        self.steps += 1
        gateways = list(self._devices)
        self._chance.shuffle(gateways)
        for gateway in gateways:
            if self._chance.random() < 1 / 400:
                self._spool[gateway] += 1
                self._seq[gateway] = 0
            size, left = self._storm[gateway]
            if not left and self._chance.random() < 1 / 130:
                size, left = self._chance.uniform(8, 40), 3
            self._storm[gateway] = size, max(0, left - 1)
            storm = (size, left)
            for number, device in enumerate(self._devices[gateway]):
                at = NOON + self.steps * STEP + number * SECOND // 50
                yield list(self._piece(gateway, device, at, storm))

    def _piece(self, gateway: str, device: Device, at: int, storm: tuple[float, int]) -> Iterator[Sent]:
        spool = f"{gateway}-{self._spool[gateway]}"
        for reading, twice in device.readings(self.steps, at, storm):
            self._seq[gateway] += 1
            record = Sent(device.key, encode_reading(reading, gateway, spool, self._seq[gateway]))
            yield record
            if twice:
                yield record
        if self._chance.random() < 1 / 2000:
            yield Sent(device.key, b"{no reading")
