"""How a simulation fails."""


class SimulateError(Exception):
    """The simulation cannot begin or go on. The text says what happened, where, and what to do about it."""
