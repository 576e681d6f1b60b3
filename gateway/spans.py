"""Lengths of time for the eye. Imported by `gatewayctl status`: the standard library alone."""


def span(seconds: float) -> str:
    """A length of time for the eye: `41 h`, `3 min`, `2.5 s`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - where a decimal stops telling
