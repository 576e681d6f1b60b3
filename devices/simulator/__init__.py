"""Devices that do not exist: their readings, what goes wrong with them, and the record of what was wrong."""

from devices.simulator.settings import Settings
from devices.simulator.source import Simulator, open_source

__all__ = ["Settings", "Simulator", "open_source"]
