"""Files that are replaced whole, for the little that must survive a power cut."""

import os
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Put `data` in place of what is at `path`; makes its folder if need be. Blocks.

    All or nothing, also in a power cut; durable on return.

    Raises:
        OSError: nothing was replaced.
    """
    folders = [path.parent] if path.parent.exists() else [path.parent, path.parent.parent]
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".new")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
