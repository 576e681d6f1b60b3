"""How to get into a Kafka: TLS, and a user or a token; and what the Kafka client calls that."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.tls import Tls, files_of

Text = Annotated[str, Meta(min_length=1)]

PROTOCOL: Final = "security.protocol"


class OAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`oauth = { ... }`: get in with tokens that an OAuth 2 server gives to this client (client credentials).

    Attributes:
        token_url: where the tokens come from.
        client_id: what that server calls this gateway.
        client_secret_file: file that holds nothing but the secret; a relative path as of password_file.
        scope: what the token is to be good for, if that server wants to hear it.
        ca: certificate of the authority that signed that server's, a PEM file. Empty: those that the system trusts.
    """

    token_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", description="a URL, https://...")]
    client_id: Text
    client_secret_file: Text
    scope: str = ""
    ca: str = ""


class KafkaAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to get into a Kafka.

    Attributes:
        tls: encrypt, and check the certificates and names of the brokers.
        username: empty: who we are is said by tls.cert, or by nothing.
        password_file: file that holds nothing but the password. A relative path is looked up in
            $CREDENTIALS_DIRECTORY, where systemd puts credentials, if that is set.
        mechanism: how the password is proven. With PLAIN the broker sees it.
        oauth: tokens in place of a user and a password: a table, see OAuth.
    """

    tls: bool | Tls = False
    username: str = ""
    password_file: str = ""
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    oauth: bool | OAuth = False

    def check_access(self, servers: str) -> None:
        """Look whether the settings fit together, and to `servers`.

        Raises:
            SettingError: they do not.
        """
        if self.password_file and not self.username:
            raise SettingError("kafka.username", "is missing; Kafka takes no password without it")
        if self.username and not self.password_file:
            raise SettingError(
                "kafka.password_file", "is missing: set it to a file that holds the password of username"
            )
        if self.oauth is True:
            raise SettingError(
                "kafka.oauth",
                "true is not allowed: must be a table with token_url, client_id and client_secret_file",
            )
        if self.username and self.oauth:
            both = ["kafka.oauth", "kafka.username"]
            raise SettingError(both[0], "excludes username; keep one of them", both)
        if isinstance(self.tls, Tls) and self.tls.key and not self.tls.cert:
            raise SettingError("kafka.tls.cert", "is missing; a key alone proves nothing")
        named = "username" if self.username else "oauth"
        if (self.username or self.oauth) and not self.tls and not all_loopback(servers):
            raise SettingError(
                f"kafka.{named}",
                "would cross the network unencrypted, and whoever listens there could read it or take over the connection: set tls = true, or "
                'tls = { ca = "..." }',
                [f"kafka.{named}", "kafka.tls", "kafka.bootstrap_servers"],
            )
        if isinstance(self.oauth, OAuth) and _in_clear(self.oauth):
            raise SettingError(
                "kafka.oauth.token_url", "would send the secret for everybody to read: use https://"
            )

    def said_by(self) -> str:
        """The key that decides on the protocol: the first that is set."""
        return next((f"kafka.{key}" for key in ("tls", "username", "oauth") if getattr(self, key)), "")

    def client_options(self) -> dict[str, str]:
        """The same as properties of the Kafka client; what is in a file under NAME_file."""
        found: dict[str, str] = {}
        if self.tls or self.username or self.oauth:
            found[PROTOCOL] = (
                f"{'SASL_' if self.username or self.oauth else ''}{'SSL' if self.tls else 'PLAINTEXT'}"
            )
        if self.tls:
            found |= _tls_options(files_of(self.tls))
        if self.username:
            found |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password_file": self.password_file,
            }
        return found | (_oauth_options(self.oauth) if isinstance(self.oauth, OAuth) else {})


_SAYS: Final = {
    "ssl.ca.location": "tls",
    "ssl.certificate.location": "tls",
    "ssl.key.location": "tls",
    "sasl.username": "username",
    "sasl.password_file": "password_file",
    "sasl.mechanism": "mechanism",
    "sasl.oauthbearer.client.secret_file": "oauth.client_secret_file",
}


def own_key(option: str) -> str:
    """The key of `[kafka]` that says what this property of the Kafka client says, `kafka.tls`."""
    return f"kafka.{_SAYS.get(option, 'oauth' if 'oauthbearer' in option or option.startswith('https') else 'tls')}"


def all_loopback(servers: str) -> bool:
    """Whether all of HOST:PORT,... are this machine."""
    return all(loopback(one.strip().rpartition(":")[0]) for one in servers.split(","))


def loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _in_clear(oauth: OAuth) -> bool:
    place = re.sub(r"^https?://([^/?#]*).*$", r"\1", oauth.token_url).rpartition("@")[2]
    return not (oauth.token_url.startswith("https:") or loopback(re.sub(r":\d+$", "", place)))


def _tls_options(files: Tls) -> dict[str, str]:
    named = {
        "ssl.ca.location": files.ca,
        "ssl.certificate.location": files.cert,
        "ssl.key.location": files.key or files.cert,
    }
    # Its default since librdkafka 2.0, and too dear to be left to one.
    return {
        "ssl.endpoint.identification.algorithm": "https",
        **{key: path for key, path in named.items() if path},
    }


def _oauth_options(oauth: OAuth) -> dict[str, str]:
    named: Mapping[str, Any] = {"sasl.oauthbearer.scope": oauth.scope, "https.ca.location": oauth.ca}
    return {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": oauth.client_id,
        "sasl.oauthbearer.client.secret_file": oauth.client_secret_file,
        "sasl.oauthbearer.token.endpoint.url": oauth.token_url,
        **{key: value for key, value in named.items() if value},
    }
