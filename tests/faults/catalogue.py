"""All faults of the laboratory, by the names in its table. Each comes up equally often."""

from typing import Final

import clocks
import disks
import network
import processes
import records
import starts
from plant import Fault

FAULTS: Final[dict[str, Fault]] = {
    **processes.FAULTS,
    **starts.FAULTS,
    **network.FAULTS,
    **disks.FAULTS,
    **records.FAULTS,
    **clocks.FAULTS,
}
