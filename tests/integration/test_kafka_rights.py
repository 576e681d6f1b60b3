"""The rights that docs/security.md gives to each service are enough; of those of a gateway none is too many."""

import asyncio
import re
from pathlib import Path
from typing import Final

from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from detect_process import Bench
from secure_kafka import CLIENT, PASSWORD, SecureKafka, right
from waiting import wait_until

from devices.tls import Tls
from gateway.config import GatewayKafka
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.sink import PositionUnknownError
from gateway.kafka.transactional import TransactionalSink
from gateway.position import Position

PAGE: Final = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")

Right = tuple[AclOperation, ResourceType, str, ResourcePatternType]


def rights(user: str) -> dict[str, Right]:
    """What the page gives to `user`, by its command."""
    block = re.search(rf"```sh\nacl=[^\n]*--allow-principal User:{user}\"\n(.+?)```", PAGE, re.DOTALL)
    assert block is not None
    found = {}
    for line in block[1].splitlines():
        command = re.fullmatch(
            r"\$acl --operation (\w+) --([a-z-]+) (\S+)(?: --resource-pattern-type (prefixed))?", line
        )
        assert command, line
        operation, kind, name, pattern = command.groups()
        found[line.removeprefix("$acl --operation ")] = (
            AclOperation[operation.upper()],
            ResourceType[kind.upper().replace("-", "_")],
            name,
            ResourcePatternType.PREFIXED if pattern else ResourcePatternType.LITERAL,
        )
    return found


def give(server: SecureKafka, user: str, given: list[Right]) -> None:
    server.add_user(user)
    server.allow(*(right(user, kind, name, operation, pattern) for operation, kind, name, pattern in given))


SAYS: Final = {
    "": "",
    "Write --transactional-id gateway-pi-7": "allow this user its transactional id (WRITE)",
    "Read --group gateway-cursor-pi-7": "allow this user to read as its group (READ)",
    "Read --topic readings": "allow this user to read the topic (READ)",
    "Write --topic readings": "allow this user to write to the topic (WRITE)",
    "Write --topic dead-letters": "allow this user to write to the topic (WRITE)",
    "Write --topic gateway-status": "allow this user to write to the topic (WRITE)",
}


def test_the_documented_rights_of_a_gateway_are_enough_and_each_that_is_missing_is_told(
    secure_kafka: SecureKafka, topic: str, tmp_path: Path
) -> None:
    documented = rights("gateway-7")
    assert {"", *documented} == set(SAYS)
    names = {one: f"{topic[-8:]}-{one}" for one in ("readings", "dead-letters", "gateway-status")}
    for name in names.values():
        secure_kafka.create_topic(name)
    password = tmp_path / "password"
    password.write_text(PASSWORD)

    async def without(missing: str) -> tuple[int, str]:
        gateway = f"pi-{topic[-8:]}-{list(SAYS).index(missing)}"
        given = [
            (operation, kind, names.get(name, name.replace("pi-7", gateway)), pattern)
            for command, (operation, kind, name, pattern) in documented.items()
            if command != missing
        ]
        await asyncio.to_thread(give, secure_kafka, gateway, given)
        readings, dead_letters, status = names.values()
        kafka = GatewayKafka(
            bootstrap_servers=secure_kafka.at("SASL"),
            readings_topic=readings,
            dead_letters_topic=dead_letters,
            status_topic=status,
            create_topics=False,
            tls=Tls(str(secure_kafka.authority.ca)),
            username=gateway,
            password_file=str(password),
        )
        sink = TransactionalSink(kafka, gateway)
        records = [Record(name, b"k", b"v") for name in names.values()]
        position = Position("0" * 16, "f" * 16, 7, 1, 0, False, {})
        try:
            await sink.resume([], lambda: None)
            sent = await sink.send(records, position, lambda: None)
        except (KafkaUnavailableError, PositionUnknownError) as error:
            return 0, str(error)
        finally:
            await sink.close()
        return sent.delivered, " ".join([sent.trouble, *(f"{one.topic}: {why}" for one, why in sent.refused)])

    async def play() -> dict[str, tuple[int, str]]:
        found = await asyncio.gather(*map(without, SAYS))
        return dict(zip(SAYS, found, strict=True))

    found = asyncio.run(play())
    assert found.pop("") == (3, "")
    assert {missing: told for missing, told in found.items() if told[0] or SAYS[missing] not in told[1]} == {}


def drop_in(bench: Bench, server: SecureKafka, settings: str) -> None:
    folder = bench.config.parent / "detect.d"
    folder.mkdir()
    (folder / "access.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{server.at("SASL")}"\ntls = {{ ca = "{server.authority.ca}" }}\n{settings}\n'
    )


def test_the_documented_rights_of_gateway_detect_are_enough(
    secure_kafka: SecureKafka, topic: str, tmp_path: Path
) -> None:
    documented = rights("gateway-detect")
    bench = Bench(secure_kafka, topic, tmp_path)
    names = {
        "readings": bench.readings,
        "anomalies": bench.anomalies,
        "gateway-status": f"{topic}-status",
        "detect-state": f"{topic}-state",
        "anomaly-commands": f"{topic}-commands",
        "gateway-detect": bench.group,
    }
    for name in list(names.values())[:-1]:
        secure_kafka.create_topic(name, 2, cleanup__policy="compact" if name.endswith("state") else "delete")
    user = f"detect-{topic[-8:]}"
    give(
        secure_kafka,
        user,
        [(one, kind, names[name], pattern) for one, kind, name, pattern in documented.values()],
    )
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    drop_in(bench, secure_kafka, f'username = "{user}"\npassword_file = "{password}"\ncreate_topics = false')

    with bench.running() as process:
        bench.send(82.1)
        wait_until(bench.said, "the anomaly", 40)
        bench.stop(process)
    assert not [line for line in bench.log.read_text().splitlines() if "uthorization" in line]


def test_gateway_detect_gets_in_with_a_token(secure_kafka: SecureKafka, topic: str, tmp_path: Path) -> None:
    bench = Bench(secure_kafka, topic, tmp_path)
    for name in (bench.readings, bench.anomalies):
        secure_kafka.create_topic(name, 2)
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    oauth = f'{{ token_url = "{secure_kafka.tokens.url}", client_id = "{CLIENT}", client_secret_file = "{secret}" }}'
    drop_in(bench, secure_kafka, f'oauth = {oauth}\ndelivery = "at-least-once"')

    with bench.running() as process:
        bench.send(82.1)
        wait_until(bench.said, "the anomaly", 40)
        bench.stop(process)
