"""What a source says while a command opens it: to stderr, as stdout is for what was asked for."""


def log_to_stderr() -> None:
    """From now on warnings go there; called before a source is opened."""
    # Needed only here, and slow to come.
    import gateway.plain_structlog  # noqa: F401, PLC0415 - before all that import structlog: quicker
    from gateway import log  # noqa: PLC0415
    from gateway.config import Log  # noqa: PLC0415

    log.configure(Log(format="console", level="warning"), "gatewayctl")
