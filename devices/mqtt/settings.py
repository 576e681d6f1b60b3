"""What a person may set of an MQTT source, and of any connection to an MQTT broker."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.tls import Tls

Text = Annotated[str, Meta(min_length=1)]
Host = Annotated[
    str, Meta(pattern=r"^[^\s/]+$", description="the name or address of a host, without spaces and /")
]
Decoder = str | dict[str, Any]

PORT: Final = 1883
TLS_PORT: Final = 8883


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to get into a broker.

    Attributes:
        port: TCP port; 0 is 1883, or 8883 with TLS.
        username: empty: anonymous.
        password: in the clear; a password_file is better.
        password_file: file that holds nothing but the password. A relative path is looked up in
            $CREDENTIALS_DIRECTORY, where systemd puts credentials, if that is set.
        tls: encrypt, and check the broker's certificate.
    """

    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    username: str = ""
    password: str = ""
    password_file: str = ""
    tls: bool | Tls = False

    @property
    def hosts(self) -> list[str]:
        """Whom to try, in this order."""
        raise NotImplementedError

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to; of several hosts, the first."""
        return self.hosts[0], self.port or (TLS_PORT if self.tls else PORT)

    def check(self, key: str) -> None:
        """Look whether the settings fit together; `key` is the path of the table that holds them.

        Raises:
            SettingError: they do not.
        """
        if (self.password or self.password_file) and not self.username:
            raise SettingError(f"{key}.username", "is missing; MQTT takes no password without it")
        if self.password and self.password_file:
            both = [f"{key}.password_file", f"{key}.password"]
            raise SettingError(both[0], "excludes password; keep one of them", both)
        if not isinstance(self.tls, bool) and self.tls.key and not self.tls.cert:
            raise SettingError(f"{key}.tls.cert", "is missing; a key alone proves nothing")


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subscription with settings of its own.

    Attributes:
        pattern: the topics it takes; see devices.mqtt.topics.
        decoder: reads its payloads. Empty: the decoder of the source.
        device: names the device of payloads that name none. Empty: `{device}` of the pattern, else that of the source.
        sensor: names the sensor of payloads that name none. Empty: `{sensor}` of the pattern, else nothing does.
    """

    pattern: Text
    decoder: Decoder = ""
    device: str = ""
    sensor: str = ""


class Settings(Access, frozen=True, forbid_unknown_fields=True):
    """`[sources.NAME]` with `kind = "mqtt"`.

    Attributes: as of Access, and
        broker: host name or address of the broker; or several, of one cluster, which are tried in turn.
        topics: what to subscribe to: patterns such as `plant/{device}/{sensor}`, or a table each.
        decoder: reads the payloads: a name, or a table with its options.
        device: names the device where neither topic nor payload does. Empty: the name of the source.
        version: of the protocol. 5 lets the gateway set its window; "3.1.1" costs a third less CPU time.
        client_id: names the session at the broker, so it must differ between all clients of a broker.
            Empty: `GATEWAY:SOURCE`, from the gateway's id and the name of the source.
        receive_maximum: messages the broker may send ahead of their acknowledgement (MQTT 5; with 3.1.1 the
            broker's configuration decides).
        session_expiry: seconds that the broker keeps the session of an absent gateway (MQTT 5; likewise).
        keepalive: seconds of silence after which the connection is probed; after twice that it is given up.
        max_payload: larger payloads are not decoded but become dead letters, in bytes.
        status_topic: where the gateway says how it is, retained; see devices.mqtt.own_status. Empty: nowhere.
    """

    broker: Host | Annotated[list[Host], Meta(min_length=1)]
    topics: Annotated[list[Text | Topic], Meta(min_length=1)]
    decoder: Decoder = "json"
    device: str = ""
    version: Literal[5, "5", "3.1.1"] = 5
    client_id: str = ""
    receive_maximum: Annotated[int, Meta(ge=1, le=65_535)] = 2000
    session_expiry: Annotated[int, Meta(ge=1, le=4_294_967_295)] = 7 * 86_400
    keepalive: Annotated[int, Meta(ge=2, le=3600)] = 20
    max_payload: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)] = 256 * 1024
    status_topic: str = ""

    @property
    def hosts(self) -> list[str]:
        """Whom to try, in this order."""
        return [self.broker] if isinstance(self.broker, str) else self.broker

    @property
    def v5(self) -> bool:
        """Whether to speak MQTT 5 rather than 3.1.1."""
        return self.version in (5, "5")


def host_problem(host: str) -> str:
    """Why this is no host alone, as the end of a sentence with what to do; empty if it may be one."""
    if "@" in host:
        return "is not allowed: user and password have keys of their own, username and password_file"
    if host.count(":") == 1:
        name, port = host.split(":")
        return f'is not allowed: the port has a key of its own; write broker = "{name}" and port = {port or PORT}'
    if host.startswith("[") or host.endswith("]"):
        return "is not allowed: write an IPv6 address without brackets, and a port as the key port"
    return ""
