"""The durable first-in-first-out store between intake and Kafka. For now it holds its batches in memory."""

from gateway.spool.batch import Batch
from gateway.spool.memory import Depth, MemorySpool

__all__ = ["Batch", "Depth", "MemorySpool"]
