"""gatewayctl simulate without its I/O: options that are refused, pauses, the course with its troubles, the report."""

import time
from pathlib import Path

import pytest

from devices.simulator.faults import Schedule, Truth
from devices.simulator.payloads import Payload
from devices.simulator.plant import NANO
from gateway.cli.main import main
from gateway.cli.simulate.carrier import Outgoing
from gateway.cli.simulate.course import Course
from gateway.cli.simulate.mqtt import broker_of
from gateway.cli.simulate.report import Injected, Report
from gateway.cli.simulate.trouble import SimulateError

PTY = ["--to", "pty"]
MQTT = ["--to", "mqtt://localhost/plant"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([*PTY, "--faults", "spike"], "--faults: wants --faults-per-hour"),
        (
            [*PTY, "--faults", "spike,melt", "--faults-per-hour", "6"],
            "--faults: 'melt' is not allowed: spike, drift, level, stuck, noise, silence, garbage, torn, split, disconnect",
        ),
        (
            [*PTY, "--faults", "disconnect", "--faults-per-hour", "6"],
            "--link: is missing: after a disconnect",
        ),
        (
            [*PTY, "--faults-per-hour", "3600"],
            "every 1 s a fault might fall between two readings; at most 900, or raise --rate",
        ),
        ([*PTY, "--config", "x.toml"], "--config and --source go together"),
        ([*PTY, "--config", "absent.toml", "--source", "x"], "absent.toml"),
        ([*PTY, "--speed", "3"], "--speed: wants --replay"),
        ([*PTY, "--replay", "absent.csv"], "--replay: absent.csv cannot be read: No such file"),
        ([*PTY, "--replay", "x.csv", "--devices", "3"], "--devices: is not allowed with --replay"),
        (
            [*PTY, "--replay", "x.csv", "--faults", "garbage,spike", "--faults-per-hour", "6"],
            "--faults: 'spike' is not allowed with --replay: the values are recorded; allowed: garbage, torn",
        ),
        (
            [*PTY, "--replay", "x.csv", "--faults-per-hour", "6"],
            "--faults: is missing: the values of a replay are recorded, so say what else goes wrong; allowed: garbage",
        ),
        (
            [*PTY, "--truth", "/absent/truth.jsonl"],
            "--truth: /absent/truth.jsonl cannot be written: No such file",
        ),
        ([*PTY, "--link", "/absent/line"], "--link: cannot make /absent/line: No such file or directory"),
        ([*MQTT, "--link", "x"], "--link: wants --to pty"),
        ([*MQTT, "--checksum", "crc32"], "--checksum: wants --to pty"),
        (
            ["--to", "http://localhost"],
            "--to: 'http://localhost' is not allowed; write mqtt://HOST:PORT/PREFIX",
        ),
        (["--to", "mqtt://localhost/a/+"], "--to: 'mqtt://localhost/a/+' is not allowed; write mqtt://"),
        (["--to", "mqtt://localhost/a/#"], "--to: 'mqtt://localhost/a/#' is not allowed; write mqtt://"),
        (["--to", "mqtt://localhost/a/%23"], "--to: 'mqtt://localhost/a/%23' is not allowed; write mqtt://"),
        (["--to", "mqtt://localhost/a?b"], "--to: 'mqtt://localhost/a?b' is not allowed; write mqtt://"),
        (["--to", "mqtt://localhost:x"], "--to: 'mqtt://localhost:x' is not allowed"),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_is_allowed(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gatewayctl simulate: ")
    assert told in said


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('kind = "serial"\nport = "/dev/ttyS0"', "--source: 'x' is not allowed: a source of kind simulator"),
        ('kind = "simulator"\ninterval = 0', "--rate: is missing: the interval of this source is 0"),
        (
            'kind = "simulator"\nfaults = ["spyke"]',
            "sources.x.faults.0: 'spyke' is not allowed: allowed: spike, drift, level, stuck, noise, silence, garbage",
        ),
        ('kind = "simulator"\ncount = 0', "sources.x.count: 0 is not allowed"),
        (
            'kind = "simulator"\nprefix = "a/b"',
            "prefix: 'a/b' is not allowed: a device is one level of an MQTT topic",
        ),
    ],
)
def test_a_configured_source_that_cannot_be_simulated_is_refused(
    table: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f"[sources.x]\n{table}\n")

    assert main(["simulate", *MQTT, "--config", str(path), "--source", "x"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        ["--devices", "0"],
        ["--devices", "2.5"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--speed", "-1"],
        ["--rate", "fast"],
    ],
)
def test_a_number_out_of_range_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", *PTY, *option])
    assert f"{option[1]} is not allowed: " in capsys.readouterr().err


def test_an_address_may_have_a_user_a_port_and_a_prefix() -> None:
    broker = broker_of("mqtt://me:s%20%23%3Fecret@host:1884/a/b/")

    assert broker == ("host", 1884, "a/b/", "me", "s #?ecret")
    assert broker.place == "mqtt://host:1884/a/b"
    assert broker_of("mqtt://host") == ("host", 1883, "", "", "")
    with pytest.raises(SimulateError):
        broker_of("host:1883")


def test_a_pause_parts_a_payload_and_holds_back_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    outgoing = Outgoing()
    outgoing.add(b"one,")
    outgoing.add(b"two-three,", pause=2)
    outgoing.add(b"four,", pause=2)

    assert outgoing.ready() == b"one,two-t"
    del outgoing.ready()[:]
    assert outgoing.ready() == b""
    now = 101.9
    assert outgoing.ready() == b""
    now = 102.0
    assert outgoing.ready() == b"hree,four,"
    assert len(outgoing) == 10


class Wire:
    """A carrier that keeps what it is given, and is told when what was sent counts as confirmed."""

    place = "nowhere"
    patience = 0.0
    repeated = lost = 0

    def __init__(self) -> None:
        self.said: list[tuple[bytes, float]] = []
        self.events: list[str] = []
        self.unconfirmed = 0
        self.full = False
        self.listening = True

    def ready(self) -> bool:
        return self.listening

    def room(self) -> int:
        return 1000

    def send(self, payload: Payload, pause: float = 0.0) -> int:
        if self.full:
            return 0
        self.said.append((payload.data, pause))
        return len(payload.data) + 1

    def pump(self) -> None:
        pass

    def waiting(self) -> int:
        return self.unconfirmed

    def leave(self) -> None:
        self.events.append("leave")

    def come_back(self) -> None:
        self.events.append("come back")

    def close(self) -> None:
        self.events.append("close")


class Script:
    """A feed of one payload every tenth of a second, with two readings each."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 0

    def due(self, now: int, most: int) -> list[Payload]:
        said: list[Payload] = []
        while self._next <= now and len(said) < most:
            said.append(Payload("b", "b", self._data, 2, self._next))
            self._next += NANO // 10
        return said


def course(kind: str, wire: Wire, data: bytes = b"device=b t=21.5 h=40") -> tuple[Course, list[Truth]]:
    truths: list[Truth] = []
    schedule = Schedule((), (kind,), began=0.0, slot=10.0, interval=0.1, key=3)  # type: ignore[arg-type]
    return Course("sim", Script(data), wire, schedule, truths.append), truths


def run(one: Course, seconds: int) -> Report:
    for tenth in range(seconds * 10 - 1):
        one.tick(tenth * NANO // 10)
    one.finish()
    return one.report


@pytest.mark.parametrize("data", [b"device=b t=21.5 h=40", b'{"t":21.5,"h":40}'])
@pytest.mark.parametrize("kind", ["garbage", "torn"])
def test_one_payload_of_a_slot_is_garbled_and_counted(kind: str, data: bytes) -> None:
    wire = Wire()
    one, truths = course(kind, wire, data)

    report = run(one, 40)

    garbled = [(place, said) for place, (said, _) in enumerate(wire.said) if said != data]
    assert len(garbled) == len(truths) == report.garbled_payloads == 3
    assert report.garbled_readings == 6
    assert report.readings == 2 * (len(wire.said) - 3)
    assert report.bytes == sum(len(said) + 1 for said, _ in wire.said)
    for (place, said), truth in zip(garbled, truths, strict=True):
        assert truth.payload == place + 1
        assert truth.start == place * NANO // 10
        assert (truth.kind, truth.payloads, truth.readings, truth.bytes) == (kind, 1, 2, len(said) + 1)
        assert b"\n" not in said
        if kind == "garbage":
            assert len(said) == len(data) == truth.magnitude
            assert said[0] == 0xFF
        else:
            assert data.startswith(said)
            assert truth.magnitude == len(data) - len(said)
    assert report.faults == {kind: Injected(3, 6)}


def test_a_split_payload_arrives_whole_with_a_pause() -> None:
    wire = Wire()
    one, truths = course("split", wire)

    report = run(one, 40)

    assert sum(pause > 0 for _, pause in wire.said) == len(truths) == 3
    assert report.garbled_payloads == 0
    assert report.readings == 2 * len(wire.said)
    assert all(truth.end - truth.start == NANO // 5 for truth in truths)


def test_what_is_due_in_a_disconnection_is_not_sent_and_counted() -> None:
    wire = Wire()
    one, truths = course("disconnect", wire)

    report = run(one, 40)

    assert wire.events == [*["leave", "come back"] * 3, "close"]
    assert len(truths) == 3
    assert report.suppressed == sum(truth.readings for truth in truths)
    assert report.readings + report.suppressed == 2 * 399
    for truth in truths:
        assert truth.magnitude == pytest.approx(3.0, abs=0.1)
        assert truth.payloads in {30, 31}
        assert truth.end - truth.start == (truth.payloads - 1) * NANO // 10 + 1
        assert (truth.device, truth.readings) == ("", 2 * truth.payloads)


def test_a_disconnection_lasts_until_somebody_listens_again() -> None:
    wire = Wire()
    wire.listening = False
    one, truths = course("disconnect", wire)
    for tenth in range(300):
        one.tick(tenth * NANO // 10)
    sent = len(wire.said)

    assert wire.events == ["leave", "come back"]
    assert truths == []
    wire.listening = True
    one.tick(30 * NANO)
    one.tick(301 * NANO // 10)
    assert (len(truths), len(wire.said)) == (1, sent + 1)
    assert truths[0].payloads == 301 - sent


def test_before_a_disconnection_it_waits_a_second_at_most_for_what_was_sent() -> None:
    wire = Wire()
    wire.unconfirmed = 5
    one, truths = course("disconnect", wire)
    left: list[float] = []
    for tenth in range(200):
        one.tick(tenth * NANO // 10)
        left += [tenth / 10] if "leave" in wire.events and not left else []
    one.finish()

    assert one.report.unconfirmed == 5
    assert 1.0 <= left[0] - truths[0].start / NANO < 1.2


def test_a_disconnection_that_the_end_cuts_short_is_told_and_counted() -> None:
    wire = Wire()
    one, truths = course("disconnect", wire)
    tenth = 0
    while "leave" not in wire.events:
        one.tick(tenth * NANO // 10)
        tenth += 1

    one.finish()

    assert len(truths) == 1
    assert one.report.suppressed == truths[0].readings > 0


def test_what_nobody_takes_is_left_out_and_counted() -> None:
    wire = Wire()
    wire.full = True
    one, truths = course("garbage", wire)

    report = run(one, 20)

    assert (report.left_out, report.readings, report.garbled_payloads) == (2 * 199, 0, 0)
    assert truths == [], "what was not sent was not garbled"
    assert report.problems() == ["398 readings were left out, because nobody took what was sent"]


def test_the_report_says_whether_it_kept_up() -> None:
    assert "could not keep up: reached 41,000 of 50,000 readings/s" in Report(50_000, 41_000).sentences()
    assert "kept up: reached 49,900 of 50,000 readings/s" in Report(50_000, 49_900).sentences()
    assert not any("keep" in sentence for sentence in Report(0, 10).sentences())
