"""TLS with a real mosquitto: who is let in, and every mistake told by its cause."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import mosquitto
import pytest
from certificates import DAY, LOOPBACK, Authority
from fixtures_mqtt import StartBroker
from mqtt_sources import failure_of, source_at, taking
from waiting import until

from devices.errors import SourceLost, SourceRefused
from devices.tls import Tls
from gateway.testing import RecordingIntake

Files = tuple[Path, Path]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates", "stranger")


def config(server: Files, *lines: str) -> str:
    return "\n".join([f"certfile {server[0]}", f"keyfile {server[1]}", *lines])


def mutual(authority: Authority, start_broker: StartBroker, version: str = "") -> mosquitto.Mosquitto:
    lines = [f"cafile {authority.ca}", "require_certificate true", "use_identity_as_username true", version]
    return start_broker(config(authority.sign("broker", *LOOPBACK), *lines))


def tls(authority: Authority, client: Files | None = None) -> Tls:
    return Tls(str(authority.ca), *(map(str, client or ())))


def why(broker: mosquitto.Mosquitto | int, files: Tls | bool) -> SourceLost | SourceRefused:  # noqa: FBT001 - the setting
    error = asyncio.run(failure_of(source_at(broker, tls=files)))
    assert isinstance(error, SourceLost | SourceRefused)
    return error


def test_who_shows_a_certificate_that_the_broker_trusts_is_let_in(
    authority: Authority, start_broker: StartBroker
) -> None:
    broker = mutual(authority, start_broker)
    client = authority.sign("gateway-7")

    async def scenario() -> None:
        source = source_at(broker, tls=tls(authority, client))
        async with taking(source, RecordingIntake()):
            pass
        await source.close()

    asyncio.run(scenario())
    assert "u'gateway-7'" in (broker.folder / "mosquitto.log").read_text()


def _of_a_stranger(authority: Authority, stranger: Authority) -> Tls:
    return tls(authority, stranger.sign("stranger-client"))


def _expired(authority: Authority, _stranger: Authority) -> Tls:
    return tls(authority, authority.sign("old", begins=-3 * DAY, ends=-DAY))


@pytest.mark.parametrize("version", ["tls_version tlsv1.2", "tls_version tlsv1.3"])
@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            lambda authority, _: tls(authority),
            "asks for a certificate of this gateway; set tls.cert and tls.key",
        ),
        (_of_a_stranger, "refuses the certificate of this gateway, "),
        (_expired, "old.pem has expired on "),
    ],
)
def test_a_broker_that_is_not_content_with_our_certificate_is_told_from_others(
    files: Callable[[Authority, Authority], Tls],
    says: str,
    version: str,
    authority: Authority,
    stranger: Authority,
    start_broker: StartBroker,
) -> None:
    error = why(mutual(authority, start_broker, version), files(authority, stranger))

    assert isinstance(error, SourceRefused)
    assert says in str(error)


@pytest.mark.parametrize(
    ("names", "days", "says"),
    [
        (LOOPBACK, (-3, -1), "(certificate has expired); have it renewed there"),
        (LOOPBACK, (1, 2), "(certificate is not yet valid); the clock of this machine says"),
        (("broker.example",), (-1, 1), "not valid for '127.0.0.1'); connect by the name that is in it"),
    ],
)
def test_a_certificate_of_the_broker_that_does_not_hold_is_told_by_its_reason(
    names: tuple[str, ...], days: tuple[int, int], says: str, authority: Authority, start_broker: StartBroker
) -> None:
    broker = start_broker(config(authority.sign("broker", *names, begins=days[0] * DAY, ends=days[1] * DAY)))
    error = why(broker, tls(authority))

    assert isinstance(error, SourceRefused)
    assert says in str(error)


def test_an_authority_that_is_not_ours_is_told_with_the_setting(
    authority: Authority, stranger: Authority, start_broker: StartBroker
) -> None:
    broker = start_broker(config(authority.sign("broker", *LOOPBACK)))
    for files in (tls(stranger), True):
        assert "set tls.ca to the certificate of the authority that signed it" in str(why(broker, files))


def test_a_key_of_another_certificate_and_an_encrypted_one_are_named(
    authority: Authority, start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = mutual(authority, start_broker)
    cert, key = authority.sign("gateway-7")
    _, other = authority.sign("other")
    assert f"tls.key {other} is the key of another certificate than tls.cert {cert}" in str(
        why(broker, tls(authority, (cert, other)))
    )
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:hunter2", "-out", locked]
    mosquitto._run(command)
    assert f"tls.key {locked} cannot be used: it is encrypted" in str(
        why(broker, tls(authority, (cert, locked)))
    )


def test_a_certificate_that_was_renewed_is_shown_at_the_next_attempt(
    authority: Authority, start_broker: StartBroker
) -> None:
    broker = mutual(authority, start_broker)
    files = tls(authority, authority.sign("gateway-7", begins=-3 * DAY, ends=-DAY))
    assert "has expired on" in str(why(broker, files))
    authority.sign("gateway-7")

    async def scenario() -> None:
        source, intake = source_at(broker, tls=files), RecordingIntake()
        async with taking(source, intake):
            await until(lambda: intake.connections, "the connection")
        await source.close()

    asyncio.run(scenario())


def test_a_broker_that_speaks_only_tls_1_1_is_refused(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    for bound in ("maximum_version", "minimum_version"):
        with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
            setattr(context, bound, ssl.TLSVersion.TLSv1_1)
    cert, key = authority.sign("broker", *LOOPBACK)
    context.load_cert_chain(cert, key)

    def serve(listening: socket.socket) -> None:
        with pytest.raises(OSError, match=r"SSL|reset"):
            context.wrap_socket(listening.accept()[0], server_side=True)

    with socket.create_server((mosquitto.HOST, 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        error = why(listening.getsockname()[1], tls(authority))
        server.join()

    assert isinstance(error, SourceRefused)
    assert "speaks no version of TLS from 1.2 on" in str(error)
