"""librdkafka's mock cluster with its C functions: a broker whose answers a test chooses.

It has no real transactions (it keeps no positions and hides nothing aborted), but it answers their calls, and any
request can be made to fail with any error of the protocol.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import confluent_kafka

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
INIT_PRODUCER_ID: Final = 22
ADD_OFFSETS: Final = 25
END_TXN: Final = 26


def _library() -> ctypes.CDLL:
    # The very library that the Python client has loaded.
    assert confluent_kafka.libversion()
    maps = Path("/proc/self/maps").read_text().splitlines()
    bundled = next(line.split()[-1] for line in maps if "/librdkafka" in line)
    library = ctypes.CDLL(bundled)
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_destroy.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_topic_create.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int16,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_int),
    ]
    library.rd_kafka_destroy.argtypes = [ctypes.c_void_p]
    return library


class MockKafka:
    """A running mock cluster.

    Attributes:
        bootstrap: for clients.
    """

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library = library
        self._cluster = cluster
        self.bootstrap = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    def create_topic(self, name: str) -> None:
        """Make a topic with one partition."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), 1, 1)

    def fail(self, request: int, *errors: int) -> None:
        """The next requests of this kind (a number of the protocol) fail with these errors, one each."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(errors), array)


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    """A mock cluster of one broker."""
    library = _library()
    client = library.rd_kafka_new(0, None, None, 0)
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    try:
        yield MockKafka(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)
