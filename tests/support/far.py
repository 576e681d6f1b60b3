"""A Kafka behind a link that a test may slow down, silence or cut, and that the test itself reaches directly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaServer, free_ports
from proxy import Proxy


class Far(NamedTuple):
    """Both ends of the link.

    Attributes:
        server: reached directly.
        proxy: the link.
        bootstrap: what a gateway on the far side is given.
    """

    server: KafkaServer
    proxy: Proxy
    bootstrap: str


@contextmanager
def far_kafka(folder: Path) -> Iterator[Far]:
    """One that runs, with its data in `folder`."""
    here, there, near, controller = free_ports(4)
    server = KafkaServer(
        folder,
        listeners=f"PLAINTEXT://127.0.0.1:{near},FAR://127.0.0.1:{there},CONTROLLER://127.0.0.1:{controller}",
        advertised__listeners=f"PLAINTEXT://127.0.0.1:{near},FAR://127.0.0.1:{here}",
        listener__security__protocol__map="PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT",
        inter__broker__listener__name="PLAINTEXT",
        controller__quorum__voters=f"1@127.0.0.1:{controller}",
    )
    server.bootstrap = f"127.0.0.1:{near}"
    try:
        server.start()
        with Proxy(here, there) as proxy:
            yield Far(server, proxy, f"127.0.0.1:{here}")
    finally:
        server.stop()
