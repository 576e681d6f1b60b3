"""Print every reading that the gateway has sent to Kafka, from the first one on; Ctrl-C ends it.

    python print_readings.py [localhost:9092 [readings]]

Needs: pip install confluent-kafka
"""

import sys

from confluent_kafka import Consumer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "readings"

consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": "print-readings",  # Kafka remembers per group how far it has read
        "auto.offset.reset": "earliest",  # a new group starts at the oldest record
        "isolation.level": "read_committed",  # show nothing that the gateway took back
    }
)
consumer.subscribe([topic])

try:
    while True:
        record = consumer.poll(1.0)
        if record is None:  # nothing new within a second
            continue
        if record.error():  # for example: the topic is not there yet
            print(record.error(), file=sys.stderr, flush=True)
            continue
        # The key is "gateway/device"; the value is one reading as JSON (see gateway/wire.py).
        print(record.key().decode(), record.value().decode(), flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
