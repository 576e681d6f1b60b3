"""Which sink delivers, by the configuration."""

from gateway.config import GatewayKafka
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.sink import Sink
from gateway.kafka.transactional import TransactionalSink


def sink_of(config: GatewayKafka, gateway: str) -> Sink:
    """The sink that `config.delivery` asks for; `gateway` is the id. Connects to nothing yet.

    Raises:
        ConfigError: the client refuses a property in `config.options`.
    """
    if config.delivery == "exactly-once":
        return TransactionalSink(config, gateway)
    return IdempotentSink(config, f"gateway-{gateway}")
