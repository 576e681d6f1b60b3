"""Prints what reports of pip would install, as requirements with the hashes of all wheels in all of them."""

import json
import sys
from collections import defaultdict
from pathlib import Path

hashes: defaultdict[str, set[str]] = defaultdict(set)
for path in sys.argv[1:]:
    for one in json.loads(Path(path).read_text(encoding="utf-8"))["install"]:
        name, version = one["metadata"]["name"].lower(), one["metadata"]["version"]
        if name != "iot-edge-gateway":
            hashes[f"{name}=={version}"].add(one["download_info"]["archive_info"]["hashes"]["sha256"])
for pin, found in sorted(hashes.items()):
    sys.stdout.write(f"{pin} {' '.join(f'--hash=sha256:{one}' for one in sorted(found))}\n")
