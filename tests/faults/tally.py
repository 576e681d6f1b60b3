"""How often each number of each device was met. A byte each, so that a million of them cost a megabyte."""


class Tally:
    """Counts from 0 to 255 by device and number. Used from any thread."""

    def __init__(self) -> None:
        self._counts: dict[str, bytearray] = {}

    def add(self, device: str, number: int) -> int:
        """Count it; returns how often it was counted before."""
        counts = self._counts.setdefault(device, bytearray())
        if len(counts) <= number:
            counts.extend(bytes(number + 1024 - len(counts)))
        before = counts[number]
        counts[number] = min(before + 1, 255)
        return before

    def get(self, device: str, number: int) -> int:
        """How often it was counted."""
        counts = self._counts.get(device, b"")
        return counts[number] if number < len(counts) else 0
