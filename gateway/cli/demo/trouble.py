"""How the demo fails."""


class DemoError(Exception):
    """The demo cannot go on. The text says what happened, with the log that tells why."""
