"""Getting into a Kafka that guards itself: every way in, and every mistake told by its cause, on a real broker."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import DAY
from daemon import Daemon
from delivering import Delivery, batch_of
from secure_kafka import CLIENT, PASSWORD, SecureKafka
from waiting import until, wait_until

from devices.tls import Tls
from gateway.config import ConfigError, GatewayKafka
from gateway.kafka.client import KafkaUnavailableError
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.sink import Sink
from gateway.kafka.transactional import TransactionalSink
from gateway.kafka_access import OAuth

pytestmark = pytest.mark.usefixtures("logs")


class Ways:
    """What settings get in, by name."""

    def __init__(self, server: SecureKafka, folder: Path) -> None:
        self.server = server
        self.ca = str(server.authority.ca)
        self.password, self.wrong = folder / "password", folder / "wrong"
        self.password.write_text(f"{PASSWORD}\n")
        self.wrong.write_text("hunter2")

    def tls(self) -> dict[str, Any]:
        return {"tls": Tls(self.ca)}

    def mtls(self, name: str = CLIENT) -> dict[str, Any]:
        cert, key = self.server.authority.sign(name)
        return {"tls": Tls(self.ca, str(cert), str(key))}

    def user(self, mechanism: str = "SCRAM-SHA-512", password: Path | None = None) -> dict[str, Any]:
        secret = str(password or self.password)
        return {**self.tls(), "username": "alice", "password_file": secret, "mechanism": mechanism}

    def oauth(self, url: str = "", secret: Path | None = None) -> dict[str, Any]:
        table = OAuth(url or self.server.tokens.url, CLIENT, str(secret or self.password))
        return {**self.tls(), "oauth": table}


@pytest.fixture
def ways(secure_kafka: SecureKafka, tmp_path: Path) -> Ways:
    return Ways(secure_kafka, tmp_path)


IN: dict[str, tuple[str, Callable[[Ways], dict[str, Any]]]] = {
    "tls": ("TLS", Ways.tls),
    "mtls": ("MTLS", Ways.mtls),
    "scram-512": ("SASL", Ways.user),
    "scram-256": ("SASL", lambda ways: ways.user("SCRAM-SHA-256")),
    "plain": ("SASL", lambda ways: ways.user("PLAIN")),
    "oauthbearer": ("SASL", Ways.oauth),
}


def settings(server: SecureKafka, listener: str, topic: str, **access: Any) -> GatewayKafka:
    at = {"PLAINTEXT": server.bootstrap, "NOWHERE": "localhost:1"}.get(listener) or server.at(listener)
    names: dict[str, Any] = {
        f"{one}_topic": f"{topic}-{one}" for one in ("dead_letters", "anomalies", "status")
    }
    return GatewayKafka(
        bootstrap_servers=at, readings_topic=topic, **{"create_topics": False, **names, **access}
    )


@pytest.mark.parametrize("way", IN)
def test_each_way_in_delivers_exactly_once(way: str, ways: Ways, topic: str) -> None:
    listener, access = IN[way]
    ways.server.create_topic(topic)
    kafka = settings(ways.server, listener, topic, **access(ways))

    async def play() -> None:
        content = [batch_of(range(100))]
        delivery = Delivery(kafka, TransactionalSink(kafka, topic), "run-1", content=content)
        await delivery.delivered(30)
        await delivery.end()

    asyncio.run(play())
    assert len(ways.server.read_all(topic)) == 100


def _strangers(ways: Ways) -> dict[str, Any]:
    cert, key = ways.server.stranger.sign("stranger-client")
    return {"tls": Tls(ways.ca, str(cert), str(key))}


def _expired(ways: Ways) -> dict[str, Any]:
    cert, key = ways.server.authority.sign("old", begins=-3 * DAY, ends=-DAY)
    return {"tls": Tls(ways.ca, str(cert), str(key))}


MISTAKES: dict[str, tuple[str, Callable[[Ways], dict[str, Any]], str]] = {
    "the authority is another": (
        "TLS",
        lambda ways: {"tls": Tls(str(ways.server.stranger.ca))},
        "certificate is not trusted (unable to get local issuer certificate); set tls.ca to the certificate of the authority",
    ),
    "the system does not know the authority": (
        "TLS",
        lambda _: {"tls": True},
        "certificate is not trusted (unable to get local issuer certificate); set tls.ca",
    ),
    "the broker's certificate has expired": (
        "EXPIRED",
        Ways.tls,
        "certificate is not trusted (certificate has expired); have it renewed there",
    ),
    "the broker's certificate is for another name": (
        "MISNAMED",
        Ways.tls,
        "not valid for 'localhost'); connect by the name that is in it",
    ),
    "no certificate of ours": ("MTLS", Ways.tls, "asks for a certificate of this gateway; set tls.cert"),
    "a certificate that the broker does not trust": (
        "MTLS",
        _strangers,
        "refuses the certificate of this gateway",
    ),
    "a certificate of ours that has expired": ("MTLS", _expired, "old.pem has expired on "),
    "tls where there is none": ("PLAINTEXT", Ways.tls, "does this port speak TLS"),
    "no tls where there is nothing else": ("TLS", lambda _: {}, "speaks TLS and nothing else; set tls"),
    "a user where none is known": ("TLS", Ways.user, "takes neither user nor token at this port"),
    "no user where one is wanted": (
        "SASL",
        Ways.tls,
        "wants to know who comes (it takes ",
    ),
    "no user and no tls where a user is wanted": ("CLEAR", lambda _: {}, "set username and password_file"),
    "the wrong password": (
        "SASL",
        lambda ways: ways.user(password=ways.wrong),
        "invalid credentials with SASL mechanism SCRAM-SHA-512; check username and password_file",
    ),
    "the wrong password, plain": (
        "SASL",
        lambda ways: ways.user("PLAIN", ways.wrong),
        "Invalid username or password; check username and password_file",
    ),
    "the wrong secret of the token": (
        "SASL",
        lambda ways: ways.oauth(secret=ways.wrong),
        'invalid_client"}; check oauth in [kafka]',
    ),
    "nobody who gives tokens": (
        "SASL",
        lambda ways: ways.oauth("http://127.0.0.1:1/token"),
        "Could not connect to server; check oauth in [kafka]",
    ),
    "nobody there": ("NOWHERE", lambda _: {}, "localhost:1 refuses connections; is Kafka running"),
}


def test_each_mistake_is_told_by_its_cause_with_what_to_do(ways: Ways, topic: str) -> None:
    """All at once, since the client takes five seconds to be sure that nobody answers."""

    async def told(mistake: str) -> str:
        listener, access, _ = MISTAKES[mistake]
        kafka = settings(ways.server, listener, topic, create_topics=True, **access(ways))
        sink = TransactionalSink(kafka, topic)
        try:
            with pytest.raises(KafkaUnavailableError) as refused:
                await sink.resume([topic], lambda: None)
            assert sink.link.trouble == str(refused.value)
            return sink.link.trouble
        finally:
            await sink.close()

    async def play() -> dict[str, str]:
        found = await asyncio.gather(*(told(mistake) for mistake in MISTAKES))
        return dict(zip(MISTAKES, found, strict=True))

    said = asyncio.run(play())
    assert {one: told for one, told in said.items() if MISTAKES[one][2] not in told} == {}
    assert not any("hunter2" in told or "after " in told for told in said.values())


@pytest.mark.parametrize(
    ("which", "says"),
    [
        (
            "key",
            r"kafka.tls.key: .*other.key is the key of another certificate than tls.cert .*gateway-7.pem",
        ),
        ("cert", r"kafka.tls.cert: .*no-certificate.pem with tls.key .* it is no PEM file of that kind"),
        ("ca", r"kafka.tls.ca: .*absent.pem cannot be used: No such file"),
    ],
)
def test_files_that_cannot_be_used_refuse_the_start(
    which: str, says: str, ways: Ways, tmp_path: Path, topic: str
) -> None:
    tls: Tls = ways.mtls()["tls"]
    nothing = tmp_path / "no-certificate.pem"
    nothing.write_text("hello")
    wrong = {
        "key": Tls(tls.ca, tls.cert, str(ways.server.authority.sign("other")[1])),
        "cert": Tls(tls.ca, str(nothing), tls.key),
        "ca": Tls("/nowhere/absent.pem", tls.cert, tls.key),
    }[which]

    with pytest.raises(ConfigError, match=says):
        TransactionalSink(settings(ways.server, "MTLS", topic, tls=wrong), topic)


def test_a_renewed_certificate_is_taken_up_without_a_restart_and_half_a_renewal_ends_nothing(
    ways: Ways, tmp_path: Path, topic: str
) -> None:
    old: Tls = _expired(ways)["tls"]
    new: Tls = ways.mtls()["tls"]

    async def play(kind: type[TransactionalSink | IdempotentSink]) -> None:
        folder, name = tmp_path / kind.__name__, f"{topic}-{kind.__name__}"
        folder.mkdir()
        cert, key = folder / "cert.pem", folder / "key.pem"
        shutil.copy(old.cert, cert)
        shutil.copy(old.key, key)
        await asyncio.to_thread(ways.server.create_topic, name)
        sink: Sink = kind(settings(ways.server, "MTLS", name, tls=Tls(ways.ca, str(cert), str(key))), name)
        delivery = Delivery(GatewayKafka(readings_topic=name), sink, "run-1", content=[batch_of(range(100))])
        await until(lambda: "has expired on" in sink.link.trouble, "the refusal", 20)
        await asyncio.to_thread(shutil.copy, new.cert, cert)
        await until(lambda: "another certificate" in sink.link.trouble, "half a renewal is told", 20)
        assert not delivery.task.done()
        await asyncio.to_thread(shutil.copy, new.key, key)
        await delivery.delivered(30)
        await delivery.end()

    async def both() -> None:
        await asyncio.gather(play(TransactionalSink), play(IdempotentSink))

    asyncio.run(both())
    for kind in (TransactionalSink, IdempotentSink):
        assert len(ways.server.read_all(f"{topic}-{kind.__name__}")) == 100


def test_gatewayd_with_a_wrong_password_says_so_keeps_all_and_delivers_once_the_broker_is_mended(
    ways: Ways, tmp_path: Path, topic: str
) -> None:
    ways.server.create_topic(topic)
    ways.server.add_user("bob", "another")
    ways.server.allow_all("bob")
    gateway = Daemon(
        tmp_path / "gateway",
        ways.server.at("SASL"),
        '[sources.sim]\nkind = "simulator"\ninterval = 0.05\ntotal = 100\n',
        f"""
readings_topic = "{topic}"
username = "bob"
password_file = "{ways.password}"
tls = {{ ca = "{ways.ca}" }}
""",
    )
    why = "invalid credentials with SASL mechanism SCRAM-SHA-512; check username and password_file in [kafka]"
    with gateway:
        wait_until(
            lambda: any(why in str(one["problem"]) for one in gateway.events("kafka unreachable")),
            "the refusal in the log",
        )
        wait_until(lambda: any(why in one for one in gateway.status()["reasons"]), "the same in status")
        ways.server.add_user("bob")
        wait_until(lambda: gateway.delivered("sim") == 100, "all readings", 40)
        assert gateway.ledger("sim")["readings"]["made"] == 100
    assert len(ways.server.read_all(topic)) == 100
