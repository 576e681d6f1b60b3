"""gateway-detect that misses a gateway after 12 seconds, for tests that wait for it."""

import sys

import gateway.kafka.whole
from gateway.detect import gateways, service

gateways.LEAST, gateways.TIMES = 5.0, 1.2  # type: ignore[misc] # of the status that comes every ten seconds
gateway.kafka.whole.LOOK_EVERY = 1.0  # type: ignore[misc,assignment] # the same

if __name__ == "__main__":
    sys.exit(service.main())
