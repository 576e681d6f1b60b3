"""Detection once more: one reading after the other in plain Python, as docs/detection.md describes the rules.

The tests compare it with the arrays of gateway.detect, which must find the same, bit for bit.
"""

import math
from typing import Any

from gateway.detect.config import DetectConfig
from gateway.wire import Arrival, Reading

DAY = 86_400 * 10**9
INF, NAN = math.inf, math.nan
LARGEST = 1e150

Found = tuple[int, str, str, float, float | None, float | None, int, int]
"""Offset, rule, event, score, low, high, and the sequence and time of the first reading that showed it."""


def value_of(reading: Reading) -> float:
    assert isinstance(reading.value, (int, float))
    return float(reading.value)


def worth(value: float) -> float:
    for digits in range(23):
        power = float(f"1e{digits}")
        if abs(value * power) < INF and round(value * power) / power == value:
            return float(f"1e-{digits}")
    return abs(value) * 2.0**-52


def decimals(value: float) -> int:
    for digits in range(23):
        if round(value * float(f"1e{digits}")) / float(f"1e{digits}") == value:
            return digits
    return -1


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


class Sensor:
    """Everything about one sensor."""

    def __init__(self, arrival: Arrival, config: DetectConfig) -> None:
        device, sensor = arrival.reading.device, arrival.reading.sensor
        self.last: Reading | None = None
        self.value = self.before = NAN
        self.received: int | None = None
        self.number = self.late_run = self.rises = self.falls = 0
        self.late_time = -(2**63)
        self.watched = 0
        self.kinds: list[float] = []
        self.rules: list[Any] = [Silence(config.silence_for(device, sensor))]
        limits = config.limits_for(device, sensor)
        if limits is not None:
            if limits.high is not None:
                self.rules.append(Bound(limits, 1.0, limits.high, limits.low))
            if limits.low is not None:
                self.rules.append(Bound(limits, -1.0, limits.low, limits.high))
        self.rules.append(Rate(config.rate_for(device, sensor)))
        self.rules.append(Stuck(config.stuck_for(device, sensor)))
        if config.never_seen_for(device, sensor):
            self.rules.append(NeverSeen())
        if (spike := config.spike_for(device, sensor)) is not None:
            self.rules.append(Spike(spike))
        if (spike := config.spike_aggregate_for(device, sensor)) is not None:
            self.rules.append(SpikeAggregate(spike))

    def accepts(self, reading: Reading) -> bool:
        last = self.last
        if last is None:
            return True
        if (reading.seq <= last.seq and reading.spool == last.spool) or reading.time == last.time:
            return False
        if reading.time > last.time:
            return True
        self.late_run = self.late_run + 1 if reading.time > self.late_time else 1
        self.late_time = reading.time
        return self.late_run == 10


def stepped(sensor: Sensor, reading: Reading) -> bool:
    if sensor.last is None:
        return False
    unset, before = ("clock_unset" in one.flags for one in (reading, sensor.last))
    return unset != before or reading.time - sensor.last.time > (6 * 3600 if unset else 365 * 86_400) * 10**9


def elapsed_of(sensor: Sensor, reading: Reading) -> float:
    if sensor.last is None or stepped(sensor, reading):
        return 0.0
    return max(0, reading.time - sensor.last.time) / 1e9


class Now:
    """One reading, and what is known of its sensor."""

    def __init__(self, sensor: Sensor, reading: Reading, gateway: "Gateway") -> None:
        self.reading, self.value, self.sensor, self.gateway = reading, value_of(reading), sensor, gateway
        self.previous = sensor.last
        self.before, self.before2 = sensor.value, sensor.before
        self.elapsed = elapsed_of(sensor, reading)
        self.stepped = stepped(sensor, reading)
        self.number = sensor.number
        self.age = sensor.watched / DAY
        self.quantity = len(sensor.kinds) >= 8 and sensor.falls * 50 > sensor.rises


class Gateway:
    """When one gateway was heard of."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.sensors: set[Any] = set()
        self.gaps: list[tuple[int, int]] = []

    def hear(self, name: Any, received: int) -> None:
        if self.last is not None and received - self.last >= 60 * 10**9 and len(self.sensors) >= 3:
            self.gaps.append((self.last, received))
            length = self.length(self.gaps[-1])
            alike = [gap for gap in self.gaps if self.length(gap) == length]
            if len(alike) > 16:
                self.gaps.remove(alike[0])
        self.last = received if self.last is None else max(self.last, received)
        self.sensors.add(name)

    @staticmethod
    def length(gap: tuple[int, int]) -> int:
        return ((gap[1] - gap[0]) // (60 * 10**9)).bit_length()

    def reached(self, since: int, lasted: int) -> int:
        until = since + lasted
        for left, back in self.gaps:
            if (back - left) * 2 >= lasted and left < until:
                until += max(0, back - max(left, since))
        return until


class Oracle:
    """Judges records one after the other."""

    def __init__(self, config: DetectConfig) -> None:
        self.config = config
        self.sensors: dict[Any, Sensor] = {}
        self.gateways: dict[str, Gateway] = {}

    def judge(self, arrivals: list[Arrival]) -> list[Found]:
        return [found for arrival in arrivals for found in self.one(arrival)]

    def one(self, arrival: Arrival) -> list[Found]:
        reading = arrival.reading
        value = reading.value
        if isinstance(value, (bool, str)) or not abs(value) < INF:
            return []
        name = (arrival.key, reading.device, reading.sensor)
        gateway = self.gateways.setdefault(reading.gateway, Gateway())
        gateway.hear(name, reading.received)
        sensor = self.sensors.setdefault(name, Sensor(arrival, self.config))
        if not sensor.accepts(reading):
            return []
        sensor.late_run = 0
        now = self.learn(sensor, reading, gateway)
        found: list[Found] = []
        for rule in sensor.rules:
            for event, score, low, high in rule.judge(now):
                first = rule.first
                found.append((arrival.offset, rule.name, event, score, low, high, *first))
        sensor.before, sensor.value, sensor.received = sensor.value, now.value, reading.received
        sensor.last = reading
        sensor.number += 1
        return found

    @staticmethod
    def learn(sensor: Sensor, reading: Reading, gateway: Gateway) -> Now:
        value = value_of(reading)
        if sensor.last is not None:
            sensor.watched += round(min(elapsed_of(sensor, reading), 21_600.0) * 1e9)
        sensor.rises += value > sensor.value
        sensor.falls += value < sensor.value
        if len(sensor.kinds) < 8 and value not in sensor.kinds:
            sensor.kinds.append(value)
        return Now(sensor, reading, gateway)


Word = tuple[str, float, float | None, float | None]


class Bound:
    name = "limits"

    def __init__(self, limits: Any, sign: float, limit: float, other: float | None) -> None:
        self.sign, self.limit, self.step = sign, limit, limits.width()
        self.mark = limit - sign * self.step
        self.range = (other, limit) if sign > 0 else (limit, other)
        self.open = False
        self.said = 0.0
        self.first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        beyond = self.sign * (now.value - self.limit)
        score = max(0.0, beyond)
        if not self.open:
            if beyond > 0:
                self.open, self.said, self.first = True, beyond, (now.reading.seq, now.reading.time)
                return [("raised", score, *self.range)]
            return []
        if not self.sign * now.value > self.sign * self.mark:
            self.open = False
            return [("cleared", score, *self.range)]
        if beyond > 0 and beyond >= max(2 * self.said, self.said + self.step):
            self.said = beyond
            return [("updated", score, *self.range)]
        return []


class Rate:
    name = "rate"

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.open = False
        self.record = self.said = self.peak = 0.0
        self.calm = 0
        self.first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        change = abs(now.value - now.before)
        if self.settings is None or now.elapsed == 0 or not change < LARGEST:
            return []
        learned = self.settings.per_s is None
        interval = now.age * 86_400.0 / max(now.number, 1)
        rate = change / (max(now.elapsed, interval) if learned else now.elapsed)
        margin = (1.5 + 0.5 / max(now.age, 1.0)) * self.record
        limit = margin if learned else self.settings.per_s
        if self.open:
            self.peak = max(self.peak, rate)
            self.calm = self.calm + 1 if rate <= limit else 0
            if self.calm >= 3:
                self.open = False
                if learned:
                    self.record = max(self.record, self.peak)
                return [("cleared", rate, None, None)]
            if rate >= 2 * self.said:
                self.said = rate
                return [("updated", rate, None, None)]
            return []
        ready = now.number >= 1000 and now.age >= 1 and now.quantity and self.record > 0
        if rate > limit and (ready or not learned):
            self.open, self.said, self.peak, self.calm = True, rate, rate, 0
            self.first = (now.reading.seq, now.reading.time)
            return [("raised", rate, None, None)]
        self.record = max(self.record, rate)
        return []


class Stuck:
    name = "stuck"

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.open = False
        self.run = self.longest = self.rests = self.said = 0
        self.rest = 0.0
        self.begin = self.first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        words: list[Word] = []
        if now.value != now.before:
            if self.open:
                self.open = False
                words.append(("cleared", 0.0, None, None))
            if now.before == self.rest:
                self.rests = max(self.rests, self.run)
            elif self.run <= self.rests:
                self.longest = max(self.longest, self.run)
            else:
                self.longest, self.rests, self.rest = max(self.longest, self.rests), self.run, now.before
        if now.value != now.before or now.stepped:
            self.run, self.begin = 0, (now.reading.seq, now.reading.time)
        self.run += 1
        if self.settings is None or words:
            return words
        lasted = now.reading.time - self.begin[1]
        if self.settings.after is None:
            times, most = 20 if now.age < 1 else 5, self.rests if now.value == self.rest else self.longest
            long = self.run >= max(20, times * most) and lasted >= 600 * 10**9 and now.quantity
        else:
            long = self.run > 1 and lasted >= self.settings.after * 1e9
        if (not self.open and long) or (self.open and self.run >= 2 * self.said):
            event = "updated" if self.open else "raised"
            self.open, self.said = True, self.run
            if event == "raised":
                self.first = self.begin
            return [(event, float(self.run), None, None)]
        return []


class Silence:
    name = "silence"

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.usual = self.slow = 0.0
        self.count = 0
        self.first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        since = now.sensor.received
        if since is None or now.previous is None or now.reading.received <= since:
            return []
        gap = (now.reading.received - since) / 1e9
        unset, before = ("clock_unset" in one.flags for one in (now.reading, now.previous))
        if unset != before or gap > (6 * 3600 if unset else 365 * 86_400):
            return []
        bound = max(5 * self.usual, 3 * self.slow, 60.0) if self.count >= 30 else INF
        self.learn(gap)
        if self.settings is None:
            return []
        if self.settings.after is not None:
            bound = self.settings.after
        if not gap > bound:
            return []
        moment = now.gateway.reached(since, round(bound * 1e9))
        if moment >= now.reading.received:
            return []
        self.first = (now.previous.seq, now.previous.time)
        words: list[Word] = [("raised", (moment - since) / 1e9, None, None)]
        while (said := 2 * words[-1][1]) < gap:
            words.append(("updated", said, None, None))
        return [*words, ("cleared", 0.0, None, None)]

    def learn(self, gap: float) -> None:
        if self.count == 0:
            self.usual = gap
        else:
            step = max(0.01, 1 / (self.count + 2.0))
            sign = (gap > self.usual) - (gap < self.usual)
            self.usual += self.usual * step * sign
        later = max(min(gap, self.slow * 1.1), self.slow * 0.999)
        self.slow = max(self.slow, gap) if self.count < 100 else later
        self.count += 1


class NeverSeen:
    name = "never-seen"

    def __init__(self) -> None:
        self.low, self.high = INF, -INF
        self.early: list[float] | None = []
        self.open = False
        self.said = self.top = self.bottom = 0.0
        self.first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        value, ready = now.value, now.number >= 1000 and now.age >= 1
        if ready and self.early is not None:
            self.settle(sorted(self.early))
        usable = abs(value) < LARGEST
        if usable and self.early is not None:
            self.early.append(value)
        if not usable or self.early is not None:
            return []
        low, high, width = self.low, self.high, self.high - self.low
        distance = max(value - high, low - value)
        if self.open:
            self.top, self.bottom = max(self.top, value), min(self.bottom, value)
            if distance <= 0:
                self.open = False
                self.low, self.high = min(low, self.bottom), max(high, self.top)
                return [("cleared", 0.0, low, high)]
            if distance >= 2 * self.said:
                self.said = distance
                return [("updated", distance / width, low, high)]
            return []
        margin = 0.05 + 0.5 / max(now.age, 1.0)
        if now.quantity and width > 0 and distance > margin * width:
            self.open, self.said, self.top, self.bottom = True, distance, value, value
            self.first = (now.reading.seq, now.reading.time)
            return [("raised", distance / width, low, high)]
        self.low, self.high = min(low, value), max(high, value)
        return []

    def settle(self, early: list[float]) -> None:
        self.early = None
        if len(early) > 1:
            self.low, self.high = early[1], early[-2]
            far = 0.55 * (self.high - self.low)
            self.low = early[0] if early[1] - early[0] <= far else early[1]
            self.high = early[-1] if early[-1] - early[-2] <= far else early[-2]


class Level:
    """Mean and scale."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.mean = self.lagged = self.variance = self.long_mean = self.long_variance = 0.0
        self.resolution = INF
        self.scale = 1.0
        self.count = 0

    @property
    def centre(self) -> float:
        return 2 * self.mean - self.lagged

    def floor(self, resolution: float, long_variance: float) -> float:
        return max(resolution, 1e-150, 1e-6 * abs(self.mean), 0.01 * math.sqrt(long_variance))

    def settle(self, values: list[float], *, move: bool) -> None:
        resolution = min(map(worth, values))
        self.mean = self.lagged = median(values)
        if not move:
            self.long_mean = self.mean
        residuals = [abs(value - self.mean) for value in values]
        clip = 6.0 * max(1.4826 * median(residuals), self.floor(resolution, 0.0))
        total = 0.0
        for residual in residuals:
            total += min(residual, clip) * min(residual, clip)
        self.resolution = min(self.resolution, resolution)
        self.variance, self.count = total / (len(values) - 1), len(values)
        self.scale = max(math.sqrt(self.variance), self.floor(self.resolution, self.long_variance))

    def learn(self, value: float, elapsed: float) -> None:
        self.count += 1
        tau = self.settings.tau
        alpha = max(min(elapsed / (tau + elapsed), 1 / 20), 1 / self.count)
        residual = min(max(value - self.centre, -6.0 * self.scale), 6.0 * self.scale)
        self.mean += alpha * (self.centre + residual - self.mean)
        self.lagged += alpha * (self.mean - self.lagged)
        self.variance += min(alpha, 1 / 60) * (residual * residual - self.variance)
        beta = alpha / 20.0
        drift = self.mean - self.long_mean
        self.long_variance += beta * (drift * drift - self.long_variance)
        self.long_mean += beta * drift
        deviation = math.sqrt(self.variance)
        if deviation < self.resolution:
            self.resolution = min(self.resolution, worth(value))
        self.scale = max(deviation, self.floor(self.resolution, self.long_variance))


class Jumps:
    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.level = Level(settings)
        self.size = min(settings.warm_up, 60)
        self.start: list[float] = []
        self.ready = self.open = False
        self.hold = self.calm = 0
        self.wanted = self.said = self.peak = 0.0

    def jump(self, value: float, elapsed: float) -> list[Word]:
        level, threshold = self.level, self.settings.threshold
        if not self.ready:
            self.start.append(value)
            if len(self.start) == self.size:
                level.settle(self.start, move=False)
                self.ready, self.hold, self.wanted = True, self.settings.warm_up - self.size, INF
            return []
        distance = abs(value - level.centre)
        score = distance / level.scale
        margin = threshold * level.scale
        ends = level.centre - margin, level.centre + margin
        if self.open:
            return self.follow(value, score, ends)
        wanted = self.wanted if self.hold else threshold
        if distance >= wanted * level.scale:
            self.open, self.said, self.peak, self.calm, self.start = True, score, score, 0, [value]
            return [("raised", score, *ends)]
        self.hold = max(0, self.hold - 1)
        level.learn(value, elapsed)
        return []

    def follow(self, value: float, score: float, ends: tuple[float, float]) -> list[Word]:
        threshold = self.settings.threshold
        self.start.append(value)
        self.peak = max(self.peak, score)
        self.calm = self.calm + 1 if score < threshold / 2 else 0
        accepted = self.calm < 3 and len(self.start) == self.size
        if self.calm == 3 or accepted:
            if accepted:
                self.level.settle(self.start, move=True)
            self.open, self.hold, self.wanted = False, 60, max(threshold, 1.25 * self.peak)
            return [("cleared", score, *ends)]
        if score >= 2 * self.said:
            self.said = score
            return [("updated", score, *ends)]
        return []


class Spike(Jumps):
    name = "spike"
    first = (0, 0)

    def judge(self, now: Now) -> list[Word]:
        if not abs(now.value) < LARGEST:
            return []
        words = self.jump(now.value, now.elapsed)
        if words and words[0][0] == "raised":
            self.first = (now.reading.seq, now.reading.time)
        return words


class SpikeAggregate(Jumps):
    name = "spike-aggregate"
    first = (0, 0)

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.held: list[Reading] = []
        self.before = 0

    def judge(self, now: Now) -> list[Word]:
        if not abs(now.value) < LARGEST:
            return []
        words: list[Word] = []
        minute = 60 * 10**9
        if len(self.held) >= 5 and now.reading.time // minute != self.held[-1].time // minute:
            words = self.close()
            if words and words[0][0] == "raised":
                self.first = (self.held[0].seq, self.held[0].time)
            self.held = []
        self.held.append(now.reading)
        return words

    def close(self) -> list[Word]:
        values = list(map(value_of, self.held))
        total = 0.0
        for value in values:
            total += value
        mean = total / len(values)
        digits = [decimals(value) for value in (min(values), max(values), values[-1])]
        if min(digits) >= 0:
            power = float(f"1e{max(digits)}")
            mean = round(mean * power) / power
        elapsed = max(0, self.held[-1].time - self.before) / 1e9
        self.before = self.held[-1].time
        return self.jump(mean, elapsed)
