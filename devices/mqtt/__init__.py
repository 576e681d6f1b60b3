"""The MQTT source: QoS 1, a session that the broker keeps, and no acknowledgement before the data is safe.

| module   | holds                                                             |
|----------|-------------------------------------------------------------------|
| settings | what a person may set                                             |
| topics   | patterns such as `plant/{device}/{sensor}`, and which topic fits  |
| link     | one connection: paho-mqtt driven from the asyncio loop            |
| refusals | what a broker's no, or a failed connect, means and what to do     |
| source   | the life of a source: link after link, receipts, what is rejected |
"""

from devices.mqtt.settings import Settings
from devices.mqtt.source import open_source

__all__ = ["Settings", "open_source"]
