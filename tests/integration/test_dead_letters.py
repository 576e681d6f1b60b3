"""`gatewayctl dead-letters` on a real Kafka: what is replayed is there once, whatever happens meanwhile."""

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import replaying
from confluent_kafka import Producer
from daemon import Daemon
from kafka import KafkaServer
from pty_port import SerialLine
from replaying import SPOOL, configured, letter, produce
from waiting import wait_until

from gateway import wire
from gateway.cli.main import main
from gateway.kafka import letters_topic
from gateway.kafka.replaying import Replaying

REPLAY = ["dead-letters", "replay", "--yes", "--config"]

Ctl = Callable[..., tuple[int, list[Any]]]


@pytest.fixture
def ctl(capsys: pytest.CaptureFixture[str]) -> Ctl:
    """Exit code of a verb, and the JSON that it prints."""

    def run(*words: str) -> tuple[int, list[Any]]:
        capsys.readouterr()
        code = main(["dead-letters", *words, "--json"])
        printed = capsys.readouterr()
        print(printed.err)
        if words[0] == "replay":
            return code, [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")]
        return code, [json.loads(printed.out)] if printed.out else []

    return run


def readings(server: KafkaServer, topic: str) -> list[wire.Reading]:
    return [wire.decode_reading(one.value() or b"") for one in server.read_all(topic)]


def marks(server: KafkaServer, topic: str) -> list[str]:
    """Addresses of the letters that were replayed."""
    found = (wire.decode_letter_or_mark(one.value() or b"") for one in server.read_all(topic))
    return [one.replayed for one in found if isinstance(one, wire.Replayed)]


@pytest.mark.timeout(120)
def test_after_a_wrong_decoder_was_corrected_all_letters_become_readings_of_their_own_time_while_gatewayd_works(
    tmp_path: Path, kafka: KafkaServer, topic: str, ctl: Ctl, capsys: pytest.CaptureFixture[str]
) -> None:
    with SerialLine(tmp_path) as line:
        source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\ndevice = "boiler"\n'
        topics = f'readings_topic = "{topic}"\ndead_letters_topic = "{topic}-l"\nstatus_topic = "{topic}-s"\n'
        source = f'{source}decoder = "json"\n'
        with Daemon(tmp_path / "gw", kafka.bootstrap, source, topics) as daemon:
            wait_until(lambda: daemon.state("line") == "connected", "the port")
            line.write(b't=21.5 h=40\nu=22.5 h=41\n{"t": 3}\nneither\n')
            wait_until(lambda: daemon.ledger("line")["payloads"]["received"] == 4, "the lines")
            wait_until(lambda: daemon.delivered("line") == 1, "the reading")
            wait_until(lambda: not daemon.status()["spool"]["dead_letters"], "the letters in Kafka")
            where = ("--config", str(daemon.config))
            code, [listed] = ctl("list", *where)
            assert (code, listed["letters"], listed["replayed"], listed["waiting"]) == (0, 3, 0, 0)
            group = listed["groups"][0]
            assert (group["source"], group["kind"]) == ("line", "undecoded")
            code, [shown] = ctl("show", group["newest"], *where)
            assert (code, shown["now"]["why"]) == (1, "undecoded")
            assert ctl("replay", group["id"], "--yes", *where)[0] == 1, "nothing was corrected yet"

            daemon.config.write_text(daemon.config.read_text().replace('decoder = "json"', ""))
            code, made = ctl("replay", "--dry-run", *where)
            assert (code, len(readings(kafka, topic))) == (1, 1), "nothing is written"
            assert [one["state"] for one in made] == ["would be replayed", "would be replayed", "undecoded"]
            code, done = ctl("replay", "--yes", *where)
            assert (code, Counter(one["state"] for one in done)) == (1, Counter(replayed=2, undecoded=1))
            code, again = ctl("replay", "--yes", *where)
            states = Counter(one["state"] for one in again)
            assert (code, states) == (1, {"replayed before": 2, "undecoded": 1})
            assert daemon.ledger("line")["payloads"]["dead_lettered"] == 3
            code, [listed] = ctl("list", *where)
            assert (listed["letters"], listed["replayed"]) == (3, 2), "what fails is not written again"
            replayed = next(one for one in done if one["state"] == "replayed")
            code, [shown] = ctl("show", replayed["address"], *where)
            assert (code, shown["replayed"]["readings"]) == (0, 2)
            daemon.stop()

    letters = {one["address"]: one for one in done}
    found = [one for one in readings(kafka, topic) if one.flags]
    assert [(one.device, one.sensor, one.value) for one in found] == [
        ("boiler", "t", 21.5),
        ("boiler", "h", 40),
        ("boiler", "u", 22.5),
        ("boiler", "h", 41),
    ]
    assert {one.flags for one in found} == {("recovered",)}
    assert [one.seq for one in found] == [1, 2, 1, 2]
    assert {one.received for one in found} == {
        row["received"] for one in letters.values() for row in one["readings"]
    }
    first = readings(kafka, topic)[0]
    assert max(one.received for one in found) <= first.received, "as they came"
    capsys.readouterr()
    assert main(["verify", "--config", str(daemon.config), "--json"]) == 0
    gateway = json.loads(capsys.readouterr().out)["gateways"]["pi-7"]
    assert (gateway["readings"], gateway["dead_letters"], gateway["replayed"], gateway["recovered"]) == (
        1,
        3,
        2,
        4,
    )


@pytest.mark.timeout(120)
def test_a_replay_killed_at_any_step_and_repeated_writes_each_letter_once(
    tmp_path: Path, kafka: KafkaServer, topic: str
) -> None:
    steps = replaying.STEPS  # each with a gateway and a partition of its own
    kafka.create_topic(f"{topic}-letters", max(steps) + 1)
    kafka.create_topic(topic, 3)
    configs = [configured(tmp_path, kafka.bootstrap, f"{topic}-letters", topic, f"pi-{n}") for n in steps]
    for step in steps:
        letters = [letter(n, f"a={n} b={n}".encode(), gateway=f"pi-{step}") for n in range(1, 5)]
        values = [wire.encode_dead_letter(one) for one in letters]
        produce(kafka.bootstrap, f"{topic}-letters", values, step)
    killed = [
        subprocess.Popen([sys.executable, replaying.__file__, config, str(step)])
        for step, config in zip(steps, configs, strict=True)
    ]
    assert {one.wait(60) for one in killed} == {-9}

    begun = Counter(one.partition(":")[0] for one in marks(kafka, f"{topic}-letters"))
    assert {begun[str(step)] for step in steps} == {0, 2, 4}, "before, between and behind the transactions"
    for _ in range(2):
        with ThreadPoolExecutor(8) as threads:  # most of the time they wait for Kafka
            assert set(threads.map(lambda config: main([*REPLAY, str(config)]), configs)) == {0}
    found = Counter((one.gateway, one.spool, one.seq) for one in readings(kafka, topic))
    expected = [
        (f"pi-{n}", f"{SPOOL}-{1 << 40 | number}", seq)
        for n in steps
        for number in range(1, 5)
        for seq in (1, 2)
    ]
    assert found == Counter(expected)
    done = Counter(marks(kafka, f"{topic}-letters"))
    assert done == Counter(f"{step}:{offset}" for step in steps for offset in range(4))


@pytest.mark.timeout(60)
def test_a_mark_hidden_behind_the_open_transaction_of_a_gateway_is_waited_for(
    tmp_path: Path, kafka: KafkaServer, topic: str, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, kafka.bootstrap, f"{topic}-letters", topic)
    kafka.create_topic(topic)
    kafka.create_topic(f"{topic}-letters")
    one = letter(1, b"a=1")
    produce(kafka.bootstrap, f"{topic}-letters", [wire.encode_dead_letter(one)])
    gatewayd = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    gatewayd.init_transactions(10)
    gatewayd.begin_transaction()
    gatewayd.produce(f"{topic}-letters", wire.encode_dead_letter(letter(2, b"b=2", "other")), partition=0)
    gatewayd.flush(10)
    mark = wire.Replayed(1, "pi-7", "line", "0:0", f"{SPOOL}-{one.seq}", 1, 1)
    produce(kafka.bootstrap, f"{topic}-letters", [wire.encode_replayed(mark)])
    looking = threading.Event()
    await_open = letters_topic.LettersTopic.await_open

    def told(self: letters_topic.LettersTopic) -> None:
        await_open(self)
        looking.set()

    monkeypatch.setattr(letters_topic.LettersTopic, "await_open", told)

    def end() -> None:
        looking.wait(30)
        gatewayd.commit_transaction(10)

    ending = threading.Thread(target=end)
    ending.start()
    code, done = ctl("replay", "--yes", "--config", str(config))
    ending.join()

    assert (code, [one["state"] for one in done]) == (0, ["replayed before"])
    assert readings(kafka, topic) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("moment", ["begin", "write"])
def test_a_replay_that_another_one_overtakes_at_any_moment_writes_nothing_twice(
    moment: str,
    tmp_path: Path,
    kafka: KafkaServer,
    topic: str,
    ctl: Ctl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = configured(tmp_path, kafka.bootstrap, f"{topic}-letters", topic)
    kafka.create_topic(topic)
    kafka.create_topic(f"{topic}-letters")
    produce(kafka.bootstrap, f"{topic}-letters", [wire.encode_dead_letter(letter(1, b"a=1 b=2"))])
    work = getattr(Replaying, moment)

    async def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(Replaying, moment, work)
        assert await asyncio.to_thread(main, [*REPLAY, str(config)]) == 0
        return await work(*args)

    monkeypatch.setattr(Replaying, moment, overtaken)
    code, done = ctl("replay", "--yes", "--config", str(config))

    assert (code, done[-1]["state"]) == (0, "replayed before")
    assert [(one.sensor, one.seq) for one in readings(kafka, topic)] == [("a", 1), ("b", 2)]


@pytest.mark.timeout(60)
def test_what_kafka_refused_is_replayed_once_it_takes_it_and_else_keeps_back_no_other_letter(
    tmp_path: Path, kafka: KafkaServer, topic: str, ctl: Ctl
) -> None:
    config = configured(tmp_path, kafka.bootstrap, f"{topic}-letters", topic)
    kafka.create_topic(topic, max__message__bytes="3000")
    kafka.create_topic(f"{topic}-letters", 2)

    def refused(number: int, size: int) -> wire.DeadLetter:
        text = "".join(chr(33 + (n * n * 7919 + n // 90) % 90) for n in range(size)).replace("\\", "/")
        seq = 1 << 40 | number
        value = wire.encode_reading(replaying.reading(text.replace('"', "'"), number), "pi-7", SPOOL, seq)
        changes = {"kind": "refused", "reason": "refused by Kafka: too large", "place": topic}
        return letter(number, value, **changes)

    letters = [
        refused(1, 4000),
        refused(2, 500),
        letter(3, b"a=3"),
        letter(4, b"a=4", gateway="pi-8"),
        letter(5, b"a=5", size=70_000),
        letter(6, b"a=6", kind="damaged", reason="checksum wrong"),
        letter(7, b"a=7", source="gone"),
    ]
    produce(kafka.bootstrap, f"{topic}-letters", [wire.encode_dead_letter(one) for one in letters])
    code, done = ctl("replay", *(f"0:{n}" for n in range(7)), "--yes", "--config", str(config))

    assert code == 1
    assert {one["address"]: one["state"] for one in done} == {
        "0:0": "refused by Kafka",
        "0:1": "replayed",
        "0:2": "replayed",
        "0:3": "of another gateway",
        "0:4": "cut",
        "0:5": "damaged",
        "0:6": "no such source",
    }
    found = {one.spool: one for one in readings(kafka, topic)}
    assert {spool.removeprefix(f"{SPOOL}-{1 << 12}") and one.seq for spool, one in found.items()} == {1}
    kept = found[f"{SPOOL}-{letters[1].seq}"]
    assert (kept.time, kept.received, kept.flags) == (2, 3, ("redelivered", "recovered"))
    assert ctl("replay", "1:0", "--config", str(config), "--dry-run")[0] == 2, "no such letter"


@pytest.mark.timeout(60)
def test_letters_are_listed_by_what_they_have_in_common_and_found_by_filters(
    tmp_path: Path, kafka: KafkaServer, topic: str, ctl: Ctl, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, kafka.bootstrap, topic, f"{topic}-readings")
    where = ("--config", str(config))
    code, _ = ctl("list", *where)
    assert code == 2, "there is no such topic"
    kafka.create_topic(topic)
    letters = [
        *(letter(n, b"\x1b[2J" + bytes([n, 200])) for n in range(1, 4)),
        letter(4, b"x", "other"),
        letter(4, b"x", "other"),  # written twice, at least once
        letter(5, b"y", "other", gateway="pi-8\x1b]0;"),
        letter(6, "\u202e\x9b31m".encode(), "line\x1b[31m", place="\x1b]52;c;", reason="\u202eJSON\x07"),
    ]
    produce(kafka.bootstrap, topic, [*(wire.encode_dead_letter(one) for one in letters), b"{}", b"\xff"])

    code, [found] = ctl("list", *where)
    assert (code, found["letters"], found["damaged"], len(found["groups"])) == (0, 5, 2, 3)
    assert [one["count"] for one in found["groups"]] == [1, 1, 3]
    assert ctl("list", "--source", "o*", "--gateway", "*", *where)[1][0]["letters"] == 2
    assert ctl("list", "--reason", "json\x07", *where)[1][0]["letters"] == 1
    assert ctl("list", "--since", "1s", *where)[1][0]["letters"] == 0
    assert ctl("list", "--since", "2025-11-22T12:00:00+00:00", *where)[1][0]["letters"] == 5
    code, [few] = ctl("list", "--last", "3", *where)
    assert (few["letters"], few["not_read"]) == (1, 6)

    odd = found["groups"][0]["id"]
    for words in (
        ["list", "--gateway", "*"],
        ["show", odd, "--all"],
        ["show", "0:0"],
        ["replay", "--dry-run"],
    ):
        capsys.readouterr()
        main(["dead-letters", *words, *where])
        printed = capsys.readouterr()
        assert printed.out
        assert all(one.isprintable() or one == "\n" for one in printed.out + printed.err), words
    produce(kafka.bootstrap, topic, [wire.encode_dead_letter(letter(7, b"a=1"))])
    assert main(["dead-letters", "replay", *where]) == 2
    assert "nobody said yes" in capsys.readouterr().err
    assert ctl("list", *where)[1][0]["replayed"] == 0


def test_without_kafka_what_gatewayd_knows_is_shown_and_said_to_be_no_more(
    tmp_path: Path, ctl: Ctl, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.kafka.readback.ANSWER_TIMEOUT", 0.3)
    with SerialLine(tmp_path) as line:
        source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
        with Daemon(tmp_path / "gw", "127.0.0.1:1", source) as daemon:
            wait_until(lambda: daemon.state("line") == "connected", "the port")
            line.write(b"neither\nnor\n")
            wait_until(lambda: daemon.status()["spool"]["dead_letters"] == 2, "the letters")
            where = ["--config", str(daemon.config)]
            assert main(["dead-letters", "list", *where]) == 2
            printed = capsys.readouterr()
            assert "Kafka cannot be read: 127.0.0.1:1: " in printed.err
            assert "2 dead letters in the spool of gatewayd" in printed.out
            assert "line: since its start 2 undecoded" in printed.out
            code, [listed] = ctl("list", *where)
            assert (code, listed["gateway"], listed["waiting"], listed["groups"]) == (2, "pi-7", 2, [])
            assert ctl("show", "0:1", *where) == (2, [])
            assert ctl("replay", "0:1", "--yes", *where) == (2, [])
