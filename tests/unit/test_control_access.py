"""Who may ask what on the control socket, decided by what the kernel says of the other side; and how much of it."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from acting import acting_as
from heard import Hall
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from waiting import until

from gateway import control, control_places, control_server, peers
from gateway.control import ControlError, Refused, ask, find_socket
from gateway.control_places import ANSWER_BYTES, CONNECTIONS, PER_USER, STRANGERS, STREAMS_PER_USER
from gateway.control_server import ControlServer, StreamVerb, Verb
from gateway.device_verbs import device_page, forget_device
from gateway.peers import peer_of
from gateway.repeats import NEVER_LEFT_OUT
from gateway.source_verbs import source_settings
from gateway.tail_server import Tails

SERVICE, GROUP = 64_001, 64_002
STRANGER, ELSEWHERE = 64_003, 64_004

Scene = Callable[[ControlServer, Path], Awaitable[None]]


async def endless(_: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"{}\n")
    await reader.read()


def defective(_: dict[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError


VERBS: dict[str, Verb | StreamVerb] = {
    "ping": Verb("everybody", lambda _: {}),
    "secret": Verb("members", lambda _: {"payload": 7}),
    "long": Verb("everybody", lambda _: {"text": "x" * 3_000_000}),
    "endless": StreamVerb("members", endless),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Which everybody can get into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def serve(folder: Path, scene: Scene, *, uid: int = 0, gid: int = GROUP) -> None:
    """A server that runs as `uid`, and whose socket belongs to the group `gid`."""
    os.chown(folder, uid, gid)

    async def run() -> None:
        server = ControlServer(folder / "sock", VERBS)
        with acting_as(uid, gid):
            await server.start()
        try:
            await scene(server, folder / "sock")
        finally:
            await server.close()

    asyncio.run(run())


class Client:
    """A connection that blocks nobody: what it sends fits the kernel's buffer."""

    made: ClassVar[list["Client"]] = []

    def __init__(self, path: Path) -> None:
        self.made.append(self)
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(str(path))
        self.link.setblocking(False)

    def send(self, verb: str) -> "Client":
        self.link.sendall(json.dumps({"verb": verb}).encode() + b"\n")
        return self

    async def line(self) -> dict[str, Any]:
        """The first line of the answer."""
        loop, answer = asyncio.get_running_loop(), b""
        async with asyncio.timeout(5):
            while not answer.endswith(b"\n"):
                part = await loop.sock_recv(self.link, 1_000_000)
                assert part, answer
                answer += part
        found: dict[str, Any] = json.loads(answer)
        return found

    async def ended(self) -> bool:
        """Whether the other side hangs up."""
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.link, 1) == b""


@pytest.fixture(autouse=True)
def _hung_up() -> Iterator[None]:
    yield
    while Client.made:
        Client.made.pop().link.close()


async def asked_as(path: Path, verb: str, uid: int, gid: int, groups: Sequence[int] = ()) -> dict[str, Any]:
    with acting_as(uid, gid, groups):
        client = Client(path)
    answer = await client.send(verb).line()
    client.link.close()
    return answer


@pytest.mark.parametrize(
    ("who", "uid", "gid", "groups"),
    [
        ("root", 0, ELSEWHERE, []),
        ("the user of the service", SERVICE, ELSEWHERE, []),
        ("a member by his first group", STRANGER, GROUP, []),
        ("a member by another group", STRANGER, ELSEWHERE, [ELSEWHERE, GROUP]),
        ("a member by the last of very many", STRANGER, ELSEWHERE, [*range(70_000, 71_000), GROUP + 10_000]),
    ],
)
def test_members_may_ask_everything(who: str, uid: int, gid: int, groups: list[int], folder: Path) -> None:
    of_socket = GROUP + 10_000 if len(groups) > 2 else GROUP

    async def scene(_: ControlServer, path: Path) -> None:
        assert await asked_as(path, "secret", uid, gid, groups) == {"payload": 7}, who
        assert await asked_as(path, "endless", uid, gid, groups) == {}, who

    serve(folder, scene, uid=SERVICE, gid=of_socket)


def test_everybody_else_may_ask_how_it_is_and_is_told_how_to_become_a_member(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "group"
    file.write_text(f"root:x:0:\nbroken line\nplant:x:{GROUP}:carol\n")
    monkeypatch.setattr(peers, "_GROUP_FILE", file)

    async def scene(_: ControlServer, path: Path) -> None:
        assert await asked_as(path, "ping", STRANGER, ELSEWHERE, [ELSEWHERE]) == {}
        for verb in ("secret", "endless"):
            with capture_logs() as logs:
                answer = await asked_as(path, verb, STRANGER, ELSEWHERE, [ELSEWHERE])
            assert answer == {
                "error": f"`{verb}` is for root, the user of gatewayd and the group plant: "
                "`sudo usermod -aG plant $USER` and log in again, or use sudo",
                "denied": True,
            }
            [said] = logs
            assert (said["event"], said["verb"], said["by_uid"]) == (
                "control request refused",
                verb,
                STRANGER,
            )

    serve(folder, scene, uid=SERVICE)
    assert "control request refused" not in NEVER_LEFT_OUT  # so it is said a few times a minute at most


def test_where_no_group_helps_sudo_does(folder: Path) -> None:
    async def scene(_: ControlServer, path: Path) -> None:
        answer = await asked_as(path, "secret", STRANGER, ELSEWHERE)
        assert answer["error"] == "`secret` is for root: use sudo"
        gone = await asked_as(path, "secret", STRANGER, ELSEWHERE)
        assert "usermod" not in gone["error"]

    serve(folder, scene, gid=0)


def test_a_group_without_a_name_is_called_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_GROUP_FILE", tmp_path / "none")
    assert peers.group_name(64_002) == "64002"


def test_a_peer_is_who_it_was_when_it_connected_whatever_it_became_since(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(folder / "s"))
        (folder / "s").chmod(0o666)
        server.listen()
        with acting_as(STRANGER, ELSEWHERE, [GROUP]):
            client.connect(str(folder / "s"))
        link, _ = server.accept()
        with link:
            peer = peer_of(link)

    assert peer == (os.getpid(), STRANGER, frozenset([ELSEWHERE, GROUP]))


def test_gatewayctl_as_somebody_else_shows_the_status_and_may_forget_no_device(folder: Path) -> None:
    """A real process of a real other user; exit code 2 says that nothing was asked, 1 would say there is no such device."""
    program = """
import locale, os, shutil, sys
from gateway.cli import device_discover, device_forget, device_list, devices, main, status  # he may not be let in to read them
os.setgroups([]), os.setgid(64004), os.setuid(64003)
sys.exit(main.main(sys.argv[1:]))
"""

    def gatewayctl(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-Ic", program, *words, "--socket", str(folder / "sock")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    async def scene() -> None:
        hall = Hall()
        verbs = {
            "status": Verb("everybody", lambda _: {"health": "healthy"}),
            "forget device": Verb("members", lambda asked: forget_device(hall.presence, asked)),
        }
        server = ControlServer(folder / "sock", verbs)
        await server.start()
        shown = await asyncio.to_thread(gatewayctl, "status", "--json")
        denied = await asyncio.to_thread(gatewayctl, "devices", "forget", "boiler-7")
        await server.close()
        assert (shown.returncode, shown.stderr) == (0, "")
        assert json.loads(shown.stdout) == {"health": "healthy"}
        assert (denied.returncode, denied.stdout) == (2, "")
        assert "`forget device` is for root" in denied.stderr

    if os.getuid() != 0:
        pytest.skip("only root can act as somebody else")
    asyncio.run(scene())


def test_a_folder_that_is_closed_to_others_is_said_to_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "gateway"
    closed.mkdir(mode=0o750)
    monkeypatch.setattr(control, "socket_folders", lambda: [folder / "none", closed])
    monkeypatch.delenv("GATEWAY_SOCKET", raising=False)

    with (
        acting_as(STRANGER, ELSEWHERE),
        pytest.raises(ControlError, match=r"no permission to open .*usermod -aG"),
    ):
        ask(find_socket(), {"verb": "ping"})


def test_strangers_take_no_place_from_members_and_nobody_takes_all(folder: Path) -> None:
    async def scene(server: ControlServer, path: Path) -> None:
        held = []
        for number in range(STRANGERS):
            with acting_as(STRANGER + number % 3, ELSEWHERE):
                held.append(Client(path))
        await until(lambda: len(server._serving) == STRANGERS, "all to be let in")
        refused = await asked_as(path, "ping", STRANGER + 9, ELSEWHERE)
        assert refused == {
            "error": "too many are connected to gatewayd; ask again in a moment",
            "denied": True,
        }
        for number in range(CONNECTIONS - STRANGERS):
            with acting_as(70_000 + number % 2, GROUP):
                held.append(Client(path).send("endless"))
            assert "error" not in await held[-1].line() or number // 2 >= STREAMS_PER_USER
        for client in held:
            client.link.close()
        await until(lambda: not server._serving, "all to be let go")
        assert await asked_as(path, "ping", STRANGER, ELSEWHERE) == {}

    serve(folder, scene)


def test_a_stranger_who_asks_without_a_pause_is_told_to_make_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "PACE", 0.5)

    async def scene(_server: ControlServer, path: Path) -> None:
        for _ in range(PER_USER):
            assert await asked_as(path, "ping", STRANGER, ELSEWHERE) == {}
        refused = await asked_as(path, "ping", STRANGER, ELSEWHERE)
        assert refused["error"].startswith(f"{PER_USER} connections of user {STRANGER}")
        for _ in range(2 * PER_USER):
            assert await asked_as(path, "ping", 70_000, GROUP) == {}

    serve(folder, scene)


def test_one_user_has_so_many_connections_and_of_these_so_many_streams(folder: Path) -> None:
    async def scene(server: ControlServer, path: Path) -> None:
        streams = [Client(path).send("endless") for _ in range(STREAMS_PER_USER)]
        for one in streams:
            assert await one.line() == {}
        assert (
            "6 captures, tails and reloads of user 0 run already"
            in (await Client(path).send("endless").line())["error"]
        )
        await until(lambda: len(server._serving) == STREAMS_PER_USER, "the refused one to be gone")
        for _ in range(PER_USER - STREAMS_PER_USER):
            Client(path)
        await until(lambda: len(server._serving) == PER_USER, "all to be let in")
        assert "8 connections of user 0 are open already" in (await Client(path).line())["error"]

    serve(folder, scene)


def test_who_is_refused_at_the_door_hears_why_though_nobody_reads_his_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(server: ControlServer, path: Path) -> None:
        for _ in range(PER_USER):
            Client(path)
        await until(lambda: len(server._serving) == PER_USER, "all to be let in")
        with pytest.raises(ControlError, match="8 connections of user 0 are open already") as error:
            await asyncio.to_thread(ask, path, {"verb": "ping"})
        assert not isinstance(error.value, Refused)

    serve(folder, scene)

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "door"))
        door.listen()

        class HungUpOn(socket.socket):
            """The other side was quicker than the request."""

            def connect(self, path: Any) -> None:
                super().connect(path)
                link, _ = door.accept()
                link.sendall(b'{"error": "full", "denied": true}\n')
                link.close()

        monkeypatch.setattr(socket, "socket", HungUpOn)
        with pytest.raises(ControlError, match=r"^full$"):
            ask(folder / "door", {"verb": "ping"})
        monkeypatch.undo()


def test_who_sends_no_request_is_hung_up_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "REQUEST_TIMEOUT", 0.02)

    async def scene(server: ControlServer, path: Path) -> None:
        silent, slow = Client(path), Client(path)
        slow.link.send(b'{"verb": ')
        assert await silent.ended()
        assert await slow.ended()
        assert not server._serving

    serve(folder, scene)


def test_who_reads_no_answer_is_hung_up_on_and_gives_back_his_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "ANSWER_TIMEOUT", 0.1)

    async def scene(server: ControlServer, path: Path) -> None:
        with acting_as(STRANGER, ELSEWHERE):
            greedy = [Client(path).send("long") for _ in range(3)]
        await until(lambda: server._places._bytes[False], "an answer")
        assert 2 * 3_000_000 > ANSWER_BYTES // 2 >= server._places._bytes[False]
        full = await asked_as(path, "long", STRANGER + 1, ELSEWHERE)
        assert full["error"] == "too many long answers of gatewayd wait to be read; ask again in a moment"
        assert len((await Client(path).send("long").line())["text"]) == 3_000_000, "a member has room"
        await until(lambda: not server._serving, "all to be hung up on")
        assert server._places._bytes == {True: 0, False: 0}
        assert len(greedy) == 3
        assert len((await asked_as(path, "long", STRANGER, ELSEWHERE))["text"]) == 3_000_000

    serve(folder, scene)


def test_a_defect_in_one_answer_is_logged_and_told_and_ends_nothing_else(folder: Path) -> None:
    async def scene() -> None:
        server = ControlServer(folder / "sock", {"ping": VERBS["ping"], "bad": Verb("everybody", defective)})
        await server.start()
        with capture_logs() as logs:
            answer = await Client(folder / "sock").send("bad").line()
        assert "has a defect" in answer["error"]
        assert [one["event"] for one in logs] == ["control request failed"]
        assert await Client(folder / "sock").send("ping").line() == {}
        await server.close()

    asyncio.run(scene())


@pytest.fixture(scope="module")
def everything() -> Iterator[Path]:
    """A server with all verbs there are but those that need a whole daemon, in a thread of its own."""
    hall, tails = Hall(), Tails(lambda: ["plant"])
    hall.hear(("plant", "boiler-7"))
    verbs: dict[str, Verb | StreamVerb] = {
        "ping": VERBS["ping"],
        "devices": Verb("everybody", lambda asked: device_page(hall.presence, asked, hall.now)),
        "forget device": Verb("members", lambda asked: forget_device(hall.presence, asked)),
        "source settings": Verb("members", lambda asked: source_settings({"plant": {"kind": "mqtt"}}, asked)),
        "tail": StreamVerb("members", tails.serve),
    }
    ready, stop = threading.Event(), threading.Event()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "sock"

        async def run() -> None:
            server = ControlServer(path, verbs)
            await server.start()
            ready.set()
            await asyncio.to_thread(stop.wait)
            await server.close()

        thread = threading.Thread(target=asyncio.run, args=[run()])
        thread.start()
        assert ready.wait(10)
        try:
            yield path
        finally:
            stop.set()
            thread.join()


leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)
keys = st.sampled_from(["verb", "device", "source", "sensor", "after"])
verb = st.sampled_from(["ping", "devices", "forget device", "source settings", "tail"])
requests = st.builds(
    lambda rest, verb: json.dumps(rest | {"verb": verb}).encode(), st.dictionaries(keys, values), verb
)
nested = st.builds(
    lambda mark, depth: mark * depth, st.sampled_from([b"[", b'{"verb":', b'{"a":[']), st.integers(1, 2000)
)
anything = st.one_of(
    requests, st.binary(max_size=6000), nested, values.map(lambda one: json.dumps(one).encode())
)


@settings(deadline=None, max_examples=150)
@given(data=st.builds(lambda data, end: data + end, anything, st.sampled_from([b"\n", b"", b"\n\n{}"])))
def test_any_bytes_get_an_answer_or_none_and_the_next_one_is_heard(everything: Path, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(everything))
        answer = b""
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        try:
            while part := link.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass

    for line in answer.splitlines():
        assert "defect" not in json.loads(line).get("error", "")
    assert bool(answer) == (b"\n" in data or len(data) > 4096)
    assert ask(everything, {"verb": "ping"}) == {}


def test_the_limits_are_what_the_documentation_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text(encoding="utf-8")
    for number in (
        CONNECTIONS,
        STRANGERS,
        PER_USER,
        STREAMS_PER_USER,
        control_places.ANSWER_BYTES // 1_000_000,
    ):
        assert f" {number} " in page


def test_root_asks_no_socket_that_anybody_may_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert [str(one) for one in control.socket_folders()] == ["/run/gateway"]


@pytest.mark.parametrize("owner", [OURS := 64_003, 64_004])
def test_a_last_resort_is_believed_only_if_it_is_ours(owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives folders to others")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("GATEWAY_SOCKET", raising=False)
    monkeypatch.setattr("os.getuid", lambda: OURS)
    last = control.socket_folders()[-1:]
    monkeypatch.setattr(control, "socket_folders", lambda: [Path("/run/nobody"), *last])
    place = Path(f"/tmp/gateway-{OURS}")  # noqa: S108 - there it is, or nowhere
    place.mkdir()
    try:
        os.chown(place, owner, -1)
        (place / "gatewayd.sock").touch()
        assert (find_socket() == place / "gatewayd.sock") == (owner == OURS)
    finally:
        shutil.rmtree(place)
