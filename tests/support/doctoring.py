"""A gateway that `gatewayctl doctor` looks at: its configuration, its machine, and what doctor says of them."""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from kafka import JAVA, KafkaServer, free_ports, jars_folder

from gateway.cli.doctor import checks
from gateway.cli.doctor.finding import Finding
from gateway.cli.doctor.here import Here, look_around
from gateway.cli.doctor.machine import Machine

SIMULATOR = '[sources.sim]\nkind = "simulator"\n'


class Place:
    """What one test prepares.

    Attributes:
        folder: of its own.
        root: of a machine of its own, empty at first.
        stack: ends what the test started.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.stack = stack
        self.socket = folder / "d.sock"
        self.config = folder / "gateway.toml"

    def configure(self, text: str, bootstrap: str = "127.0.0.1:9") -> None:
        """Write gateway.toml; `text` has the sources, and tables of its own."""
        self.config.write_text(
            f'[gateway]\nid = "pi-7"\nstate_dir = "{self.folder / "state"}"\n[control]\nsocket = "{self.socket}"\n'
            f'[kafka]\nbootstrap_servers = "{bootstrap}"\n{text}'
        )

    def write(self, path: str, text: str) -> None:
        """A file of the machine."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text + "\n")

    def systemctl(self, **properties: str) -> None:
        """A systemctl that shows these properties: a systemd cannot be had here."""
        program = self.folder / "bin" / "systemctl"
        program.parent.mkdir()
        shown = "\n".join(f"{key}={value}" for key, value in properties.items())
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{shown}\nEND\n")
        program.chmod(0o755)

    def here(self, root: Path | None = None, *, synchronised: bool = True) -> Here:
        """What doctor starts from, on the machine of this test, or on that with another root."""
        return look_around(self.config, "", Machine(root or self.root, lambda: synchronised))


def said(here: Here, group: str) -> list[Finding]:
    """What the checks of one group say."""
    return [
        found
        for check in checks.CHECKS
        if check.group == group and (here.config or isinstance(check, checks.Check))
        for found in checks.run_check(check, here)
    ]


def named(found: Sequence[Finding], name: str) -> Finding:
    """The finding of this name; there must be one."""
    [*matching] = [one for one in found if one.name == name]
    assert matching, f"no {name!r} in " + "\n".join(str(one) for one in found)
    return matching[0]


def guarded_kafka(folder: Path) -> tuple[KafkaServer, str]:
    """A Kafka with rights: whoever comes to its `bootstrap` may do all, at the address returned only users with rights.

    There the users are `gateway` and `stranger`, both with the password `secret`.
    """
    open_port, guarded, controller = free_ports(3)
    users = 'user_gateway="secret" user_stranger="secret"'
    server = KafkaServer(
        folder,
        listeners=f"PLAINTEXT://127.0.0.1:{open_port},GUARDED://127.0.0.1:{guarded},CONTROLLER://127.0.0.1:{controller}",
        controller__quorum__voters=f"1@127.0.0.1:{controller}",
        listener__security__protocol__map="PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        inter__broker__listener__name="PLAINTEXT",
        sasl__enabled__mechanisms="PLAIN",
        authorizer__class__name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        super__users="User:ANONYMOUS",
        listener__name__guarded__plain__sasl__jaas__config=(
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        ),
        offsets__retention__minutes="10080",
    )
    server.bootstrap = f"127.0.0.1:{open_port}"
    return server, f"127.0.0.1:{guarded}"


def sasl(user: str, password: str = "secret") -> str:  # noqa: S107 - of the tests
    """How that user comes in."""
    return (
        f'[kafka.options]\n"security.protocol" = "SASL_PLAINTEXT"\n"sasl.mechanism" = "PLAIN"\n'
        f'"sasl.username" = "{user}"\n"sasl.password" = "{password}"\n'
    )


def do_shell(command: str) -> None:
    """Run what doctor names, as root already."""
    subprocess.run(command.replace("sudo ", ""), shell=True, check=True, capture_output=True)  # noqa: S602


def do_configs(command: str) -> None:
    """Run `kafka-configs.sh ...`, which starts this class."""
    _, *arguments = command.split()
    subprocess.run(
        [*JAVA, "-Xmx64m", "-cp", f"{jars_folder()}/*", "kafka.admin.ConfigCommand", *arguments],
        check=True,
        capture_output=True,
    )


def do_acls(command: str, bootstrap: str) -> None:
    """Do what `kafka-acls.sh ...` does: its class is in no jar that we have."""
    words = command.split()

    def of(option: str) -> str:
        return words[words.index(option) + 1]

    kinds = {
        "--topic": ResourceType.TOPIC,
        "--group": ResourceType.GROUP,
        "--transactional-id": ResourceType.TRANSACTIONAL_ID,
    }
    assert words[:2] == ["kafka-acls.sh", "--bootstrap-server"]
    assert "--add" in words
    [kind] = [one for one in kinds if one in words]
    pattern = ResourcePatternType.PREFIXED if "prefixed" in words else ResourcePatternType.LITERAL
    operations = [word for before, word in pairwise(words) if before == "--operation"]
    wanted = [
        AclBinding(
            kinds[kind], of(kind), pattern, of("--allow-principal"), "*",
            getattr(AclOperation, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", one).upper()), AclPermissionType.ALLOW,
        )
        for one in operations
    ]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for future in admin.create_acls(wanted).values():
        future.result(10)


class Clockwork:
    """A clock that only stands still or is moved. Call it for the seconds it shows."""

    def __init__(self) -> None:
        self.shows = time.monotonic()

    def __call__(self) -> float:
        return self.shows

    def move(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.shows += seconds


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may go through, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)
