"""A real Kafka with a listener for each way of getting in, and one for each mistake; with an authorizer."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from certificates import DAY, LOOPBACK, Authority
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from kafka import ANSWER_DEADLINE, KafkaServer, free_ports

PASSWORD: Final = "correct horse"  # noqa: S105 - of the tests
CLIENT: Final = "gateway-7"
"""What the authority calls the gateway, and what the token endpoint knows it by."""

_SASL: Final = {
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "plain": f'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="{PASSWORD}";',
    "oauthbearer": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
}


class SecureKafka(KafkaServer):
    """See the module. Whoever comes in by `bootstrap`, in plain text, may do everything.

    Attributes:
        authority: signed the certificates of the brokers, and may sign those of clients.
        stranger: another one, whom nobody trusts.
        ports: of each listener, by its name: TLS, MTLS, SASL (with TLS), CLEAR (SASL without), EXPIRED, MISNAMED.
        tokens: where OAUTHBEARER clients fetch theirs.
    """

    LISTENERS: Final = {
        "TLS": "SSL", "MTLS": "SSL", "EXPIRED": "SSL", "MISNAMED": "SSL", "SASL": "SASL_SSL", "CLEAR": "SASL_PLAINTEXT",
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        certificates = folder / "certificates"
        self.authority = Authority(certificates)
        self.stranger = Authority(certificates, "stranger")
        self.tokens = Tokens(folder / "keys.json")
        super().__init__(
            folder, ("-Xmx512m", f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.keys}")
        )
        self.ports = dict(zip(self.LISTENERS, free_ports(len(self.LISTENERS)), strict=True))
        properties = self._properties
        properties["listeners"] += "".join(f",{name}://localhost:{port}" for name, port in self.ports.items())
        protocols = {**self.LISTENERS, "PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        properties |= {
            "listener.security.protocol.map": ",".join(f"{one}:{protocols[one]}" for one in protocols),
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*?)$/$1/,DEFAULT",
        }
        good = self.authority.sign("broker", *LOOPBACK)
        stores = {
            "TLS": good,
            "MTLS": good,
            "SASL": good,
            "EXPIRED": self.authority.sign("expired", *LOOPBACK, begins=-3 * DAY, ends=-DAY),
            "MISNAMED": self.authority.sign("misnamed", "kafka.example"),
        }
        for name, (certificate, key) in stores.items():
            store = certificates / f"{name}.store.pem"
            store.write_bytes(key.read_bytes() + certificate.read_bytes())
            of = f"listener.name.{name.lower()}."
            properties |= {
                f"{of}ssl.keystore.type": "PEM",
                f"{of}ssl.keystore.location": str(store),
                f"{of}ssl.truststore.type": "PEM",
                f"{of}ssl.truststore.location": str(self.authority.ca),
            }
        properties["listener.name.mtls.ssl.client.auth"] = "required"
        for name in ("sasl", "clear"):
            of = f"listener.name.{name}."
            properties[f"{of}sasl.enabled.mechanisms"] = ",".join(_SASL).upper()
            for mechanism, module in _SASL.items():
                properties[f"{of}{mechanism}.sasl.jaas.config"] = module
            bearer = f"{of}oauthbearer."
            properties |= {
                f"{bearer}sasl.server.callback.handler.class": (
                    "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
                ),
                f"{bearer}sasl.oauthbearer.jwks.endpoint.url": self.tokens.keys,
                f"{bearer}sasl.oauthbearer.expected.audience": "kafka",
            }

    def at(self, listener: str) -> str:
        """host:port of a listener."""
        return f"localhost:{self.ports[listener]}"

    def add_user(self, name: str, password: str = PASSWORD) -> None:
        """Let a user in by SCRAM, or with another password from now on."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            wanted = UserScramCredentialUpsertion(name, ScramCredentialInfo(kind, 4096), password.encode())
            admin.alter_user_scram_credentials([wanted])[name].result(ANSWER_DEADLINE)

    def allow(self, *rights: AclBinding) -> None:
        """Give rights."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for future in admin.create_acls(list(rights)).values():
            future.result(ANSWER_DEADLINE)

    def allow_all(self, user: str) -> None:
        """Give a user every right."""
        every = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
        self.allow(*(right(user, kind, "*", AclOperation.ALL) for kind in every))


def right(
    user: str,
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> AclBinding:
    """That `user` may do this to what is called so."""
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


class Tokens:
    """An OAuth 2 server: gives tokens to the client that knows PASSWORD, and its public key to brokers.

    Attributes:
        url: of the tokens.
        keys: URL of the public key.
    """

    def __init__(self, keys: Path) -> None:
        self._key = rsa.generate_private_key(65_537, 2048)
        public = self._key.public_key().public_numbers()
        numbers = {
            name: _base64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
            for name, number in (("n", public.n), ("e", public.e))
        }
        keys.parent.mkdir(parents=True, exist_ok=True)
        keys.write_text(json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", **numbers}]}))
        self.keys = keys.as_uri()
        self.url = ""

    @contextmanager
    def served(self) -> Iterator[None]:
        """While within the block."""
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                basic = self.headers.get("Authorization", "").removeprefix("Basic ")
                known = base64.b64decode(basic).decode() == f"{CLIENT}:{PASSWORD}".replace(" ", "%20")
                known = known or base64.b64decode(basic).decode() == f"{CLIENT}:{PASSWORD}"
                good = known and form["grant_type"] == ["client_credentials"]
                answer = {"access_token": tokens.token(), "token_type": "Bearer", "expires_in": 300}
                body = json.dumps(answer if good else {"error": "invalid_client"}).encode()
                self.send_response(200 if good else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/token"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def token(self) -> str:
        """A token for CLIENT, good for five minutes."""
        now = int(time.time())
        claims = {"sub": CLIENT, "aud": "kafka", "iat": now, "exp": now + 300}
        parts = ".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims)
        )
        signature = self._key.sign(parts.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{parts}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
