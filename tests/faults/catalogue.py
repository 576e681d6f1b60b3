"""All faults of the laboratory, by the names in its table. Each comes up equally often."""

from typing import Final

import network
import processes
from plant import Fault

FAULTS: Final[dict[str, Fault]] = {**processes.FAULTS, **network.FAULTS}
