"""Reading the configuration anew: what differs, what is refused, and how sources come and go."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import until

from devices.reading import Reading
from devices.source import Home, Origin
from gateway.changes import Changes, compare, read_anew
from gateway.clock import Clock
from gateway.config import ConfigError, GatewayConfig
from gateway.config import Ingest as IngestSettings
from gateway.config import Spool as SpoolSettings
from gateway.ingest import Ingest
from gateway.ledger import Ledger
from gateway.reloads import Outcome, Reloads
from gateway.setup import Setup, set_up
from gateway.sources import SourceSpec
from gateway.spool import Spool
from gateway.testing import ScriptedSource, connects
from gateway.testing_fs import FaultFiles

HOME = Home("pi-7")
LINE = '[sources.line]\nkind = "serial"\nport = "/dev/ttyUSB0"\n'
PLANT = '[sources.plant]\nkind = "mqtt"\nbroker = "b"\ntopics = ["x/{device}"]\nusername = "u"\n'
START = f'[gateway]\nid = "pi-7"\nstate_dir = "/s"\n[control]\nsocket = "/s/d.sock"\n[spool]\n[kafka]\n{LINE}{PLANT}'


def read(folder: Path, text: str) -> Setup:
    path = folder / "gateway.toml"
    path.write_text(text)
    return set_up(path, HOME)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (LINE, "", "sources removed: line"),
        (PLANT, PLANT + '[sources.sim]\nkind = "simulator"\n', "sources added: sim"),
        ('"/dev/ttyUSB0"', '"/dev/ttyUSB1"', "sources closed and opened anew: line"),
        ('"/dev/ttyUSB0"', '"/dev/ttyUSB0"\ndevices = ["boiler-*"]', "sources adjusted: line"),
        ('"/dev/ttyUSB0"', '"/dev/ttyUSB0"\nfallback = "simulator"', "sources adjusted: line"),
        ("[spool]", "[spool]\ndisk_bytes = 300_000_000", "changed: spool.disk_bytes"),
        (
            "[spool]",
            "[log]\nlevel = 'debug'\n[ingest]\nbatch_age = 1",
            "changed: ingest.batch_age, log.level",
        ),
        ("[spool]", '[ingest]\nbatch_age = 0.1\n[log]\nlevel = "info" # as it is by default', ""),
        (LINE + PLANT, PLANT + LINE, ""),
    ],
)
def test_what_differs_is_told_by_source_and_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    before = read(tmp_path, START)
    assert old in START

    after, changes = read_anew(*written(tmp_path, START.replace(old, new)), before)

    assert changes.told() == told
    assert bool(changes.keys) == bool(told)
    assert not compare(after, read(tmp_path, START.replace(old, new))).keys


def written(folder: Path, text: str) -> tuple[Path, Home]:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path, HOME


def test_another_password_in_its_file_opens_the_source_or_kafka_anew_and_is_not_told(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    text = START + f'password_file = "{secret}"\n[kafka.options]\n"sasl.password_file" = "{secret}"\n'
    secret.write_text("before")
    before = read(tmp_path, text)
    secret.write_text("hunter2")

    changes = compare(before, read(tmp_path, text))

    assert changes.reopened == ["plant"]
    assert changes.sink
    assert changes.keys == ["kafka.options.sasl.password_file", "sources.plant.password_file"]
    assert "hunter2" not in changes.told() + str(changes)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('id = "pi-7"', 'id = "pi-8"', "gateway.id: cannot be changed while gatewayd runs"),
        ('"/s"', '"/elsewhere"', "gateway.state_dir: cannot be changed"),
        ("d.sock", "e.sock", "control.socket: cannot be changed"),
        ("[spool]", "[spool]\ndisk_bytes = 8_000_000", "spool.disk_bytes: cannot be lowered"),
        ("[spool]", "[spool]\nmemory_bytes = 1_000_000", "spool.memory_bytes: cannot be lowered"),
        (
            "[kafka]",
            '[kafka.options]\n"no.such" = 1',
            'refused by the Kafka client: No such configuration property: "no.such"',
        ),
        (
            "[kafka]",
            '[kafka.options]\n"sasl.password_file" = "/no/such"',
            "is not there: No such file or directory",
        ),
        ("[spool]", "[spoool]", "did you mean `spool`?"),
        ("[spool]", "[spool", "is not valid TOML"),
        ("kind", "knid", "sources.line.kind: is required"),
    ],
)
def test_what_cannot_be_applied_is_refused_with_file_key_and_what_to_do(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    before = read(tmp_path, START)
    path, _ = written(tmp_path, START.replace(old, new))

    with pytest.raises(ConfigError) as error:
        read_anew(path, HOME, before)

    assert str(error.value).startswith(f"{path}: ")
    assert problem in str(error.value)
    if "cannot be" in problem:
        assert str(error.value).endswith(": `sudo systemctl restart gateway`")


def test_an_id_or_a_folder_that_is_said_now_and_held_before_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/s")
    before = read(tmp_path, START.replace('state_dir = "/s"', ""))

    _, changes = read_anew(*written(tmp_path, START), before)

    assert changes.keys == ["gateway.state_dir"]


def test_a_defect_in_a_check_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    before = read(tmp_path, START)
    monkeypatch.setattr("gateway.changes.look_closer", lambda *_: 1 // 0)

    with pytest.raises(ConfigError, match="unexpected ZeroDivisionError; see the log"):
        read_anew(tmp_path / "gateway.toml", HOME, before)

    assert [one["event"] for one in logs] == ["configuration cannot be checked"]


# How sources come and go


def decode(payload: bytes, origin: Origin, received: int) -> list[Reading]:
    return [Reading(origin.device, "value", int(payload), received, origin.source, received)]


class Parts:
    """An Ingest at work over a spool that writes everything at once, and the configuration it goes by."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.spool = Spool(SpoolSettings(spill_after=0.0), self.ledger, FaultFiles())
        self.setup = Setup(GatewayConfig({}), [], {})
        clock = Clock(trusted=True)
        self.ingest = Ingest([], self.spool, self.ledger, IngestSettings(), "pi-7", clock=clock)

    async def go_by(self, tables: dict[str, dict[str, Any]]) -> Changes:
        """As the daemon does, with scripted sources in the place of real ones."""
        specs = [SourceSpec(ScriptedSource(connects, name=name)) for name in tables]
        secrets: dict[str, dict[str, int]] = {f"sources.{name}": {} for name in tables}
        after = Setup(GatewayConfig(tables), specs, secrets)
        changes = compare(self.setup, after)
        await self.ingest.end([*changes.removed, *changes.reopened])
        self.ingest.follow(specs, [*changes.added, *changes.reopened], changes.adjusted)
        self.setup = after
        return changes

    def source(self, name: str) -> ScriptedSource:
        [found] = [one.source for one in self.ingest.feeds if one.source.name == name]
        assert isinstance(found, ScriptedSource)
        return found

    async def hand_over(self, name: str, *numbers: int) -> None:
        source = self.source(name)
        intake = await until(lambda: source.intake, "the source to run")
        assert intake is not None
        origin = Origin(name, name, "boiler", "", decode)
        for number in numbers:
            intake.payload(b"%d" % number, origin, receipt=number)


@asynccontextmanager
async def at_work() -> AsyncIterator[Parts]:
    parts = Parts()
    tasks = [
        asyncio.create_task(parts.ingest.run(lambda: None)),
        asyncio.create_task(parts.spool.run(lambda: False)),
    ]
    await asyncio.sleep(0)
    try:
        yield parts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await parts.spool.close()


def scene(play: Callable[[Parts], Awaitable[None]]) -> None:
    async def run() -> None:
        async with at_work() as parts:
            await play(parts)

    asyncio.run(run())


def test_what_a_source_brought_is_safe_and_acknowledged_before_it_is_closed() -> None:
    async def play(parts: Parts) -> None:
        await parts.go_by({"plant": {"kind": "mqtt"}})
        plant = parts.source("plant")
        await parts.hand_over("plant", 1, 2, 3)
        heard: list[list[int]] = []
        close = plant.close

        async def closing() -> None:
            heard.append(list(plant.heard))
            await close()

        plant.close = closing  # type: ignore[method-assign]
        await parts.go_by({})

        assert heard == [[1, 2, 3]]
        assert plant.closed
        assert not parts.ingest.feeds
        assert parts.spool.depth().spooled == {"plant": 3}

    scene(play)


def test_a_source_whose_table_stays_is_left_alone_and_one_that_is_adjusted_keeps_its_link() -> None:
    async def play(parts: Parts) -> None:
        tables: dict[str, dict[str, Any]] = {"a": {"kind": "x"}, "b": {"kind": "x"}, "c": {"kind": "x"}}
        await parts.go_by(tables)
        await parts.hand_over("a", 1)
        before = {name: parts.source(name) for name in tables}

        changes = await parts.go_by(
            {**tables, "b": {"kind": "x", "devices": ["z-*"]}, "c": {"kind": "x", "n": 1}}
        )

        assert (changes.adjusted, changes.reopened) == (["b"], ["c"])
        assert parts.source("a") is before["a"]
        assert parts.source("b") is before["b"]
        assert not before["a"].closed
        assert not before["b"].closed
        assert before["c"].closed
        assert parts.source("c") is not before["c"]
        await until(lambda: parts.source("c").runs, "the new link")
        assert before["a"].runs == 1

    scene(play)


_TABLES = st.dictionaries(
    st.sampled_from("abc"),
    st.fixed_dictionaries(
        {"kind": st.just("x"), "n": st.integers(0, 1)}, optional={"devices": st.just(["*"])}
    ),
)


@settings(max_examples=40)
@given(st.lists(_TABLES, min_size=1, max_size=6), st.data())
def test_any_sequence_of_configurations_ends_with_the_sources_of_the_last(
    sequence: list[dict[str, dict[str, Any]]], data: st.DataObject
) -> None:
    made: list[ScriptedSource] = []
    handed: dict[str, int] = {}

    async def play(parts: Parts) -> None:
        for tables in sequence:
            await parts.go_by(tables)
            for name in tables:
                source = parts.source(name)
                made.extend([source] if source not in made else [])
                count = data.draw(st.integers(0, 3))
                await parts.hand_over(name, *range(count))
                handed[name] = handed.get(name, 0) + count

        assert [one.source.name for one in parts.ingest.feeds] == list(sequence[-1])
        assert parts.ingest.presence.rolls.keys() == sequence[-1].keys()
        assert {one.name for one in made if not one.closed} == sequence[-1].keys()
        assert all(one.runs == 1 for one in made)
        assert {name: one.made for name, one in parts.ledger.sources.items() if one.made} == {
            name: count for name, count in handed.items() if count
        }

    scene(play)


# One reload after the other


def outcome(number: int) -> Outcome:
    return Outcome(True, f"reload {number}", [])


def test_reloads_never_overlap_and_one_that_is_wanted_meanwhile_comes_behind() -> None:
    async def run() -> None:
        begun, now = 0, 0
        go_on = asyncio.Event()

        async def reload() -> Outcome:
            nonlocal begun, now
            begun, now = begun + 1, now + 1
            assert now == 1
            await go_on.wait()
            now -= 1
            return outcome(begun)

        wanted = asyncio.Event()
        reloads = Reloads(reload, wanted)
        task = asyncio.create_task(reloads.run())
        wanted.set()
        await until(lambda: begun == 1, "the first")
        waiting = [asyncio.ensure_future(reloads.outcome()) for _ in range(2)]
        wanted.set()
        await asyncio.sleep(0)
        go_on.set()

        assert [one.sentence for one in await asyncio.gather(*waiting)] == ["reload 2", "reload 2"]
        assert begun == 2
        task.cancel()

    asyncio.run(run())


def test_a_refusal_stands_in_the_status_until_what_is_on_disk_is_good() -> None:
    async def run() -> None:
        answers: list[Outcome | ConfigError] = [ConfigError("no"), outcome(1)]

        async def reload() -> Outcome:
            answer = answers.pop(0)
            if isinstance(answer, ConfigError):
                raise answer
            return answer

        reloads = Reloads(reload, asyncio.Event())
        task = asyncio.create_task(reloads.run())
        assert await reloads.outcome() == Outcome(False, "no", [])
        [reason] = reloads.reasons()
        assert reason.startswith("the configuration on disk is refused since ")
        assert reason.endswith(": no")
        await reloads.outcome()
        assert reloads.reasons() == []
        task.cancel()

    asyncio.run(run())


def test_who_waits_for_a_reload_is_told_when_the_service_stops() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def reload() -> Outcome:
            begun.set()
            await asyncio.Event().wait()
            return outcome(0)

        reloads = Reloads(reload, asyncio.Event())
        task = asyncio.create_task(reloads.run())
        waiting = asyncio.ensure_future(reloads.outcome())
        await begun.wait()
        late = asyncio.ensure_future(reloads.outcome())
        await asyncio.sleep(0)
        task.cancel()

        for one in (waiting, late):
            assert (await one).sentence.startswith("the service stops")

    asyncio.run(run())


def test_an_outcome_is_plain_data_on_the_control_socket() -> None:
    assert json.loads(json.dumps(outcome(1)._asdict())) == {
        "accepted": True,
        "sentence": "reload 1",
        "changed": [],
    }


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ('username = "u"\npassword_file = "FILE"\ntls = true', "kafka.password_file"),
        ('tls = { ca = "FILE" }', "kafka.tls.ca"),
        ('[kafka.options]\n"ssl.key.password_file" = "FILE"', "kafka.options.ssl.key.password_file"),
    ],
)
def test_a_renewed_secret_of_kafka_is_a_change(keys: str, key: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    text = START.replace("[kafka]", "[kafka]\n" + keys.replace("FILE", str(file)))
    before = read(tmp_path, text)
    assert compare(before, read(tmp_path, text)).keys == []
    file.write_text("new")

    changes = compare(before, read(tmp_path, text))

    assert changes.keys == [key]
    assert changes.sink


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ('username = "u"\npassword_file = "FILE"\ntls = true', "kafka.password_file"),
        ('[kafka.options]\n"ssl.key.password_file" = "FILE"', "kafka.options.ssl.key.password_file"),
    ],
)
@pytest.mark.parametrize("to", ["emptied", "gone"])
def test_a_secret_that_the_next_start_would_not_have_refuses_the_reload_too(
    keys: str, key: str, to: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    before = read(tmp_path, text := START.replace("[kafka]", "[kafka]\n" + keys.replace("FILE", str(file))))
    path, _ = written(tmp_path, text)
    read_anew(path, HOME, before)  # so that it is held
    if to == "gone":
        file.unlink()
    else:
        file.write_text("\n")

    with pytest.raises(ConfigError, match=key):
        read_anew(path, HOME, before)
