"""The durable first-in-first-out store between intake and Kafka: in memory while Kafka answers, on disk while it does not."""

from gateway.spool.batch import Batch
from gateway.spool.depth import Depth
from gateway.spool.spool import Spool, open_spool

__all__ = ["Batch", "Depth", "Spool", "open_spool"]
