"""tools/audit.py against an index that says what it is told, and one that is not there."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

AUDIT = Path(__file__).parents[2] / "tools" / "audit.py"
LIBRARIES = (AUDIT.parent / "debian" / "libraries.txt").read_text(encoding="utf-8")

# As PyPI tells it of Jinja2 2.11.2.
ADVISORY = {
    "aliases": ["CVE-2020-28493", "SNYK-PYTHON-JINJA2-1012994"],
    "details": "This affects the package jinja2 from 0.0.0 and before 2.11.3.",
    "fixed_in": ["2.11.3"],
    "id": "PYSEC-2021-66",
    "link": "https://osv.dev/vulnerability/PYSEC-2021-66",
    "source": "osv",
    "summary": None,
    "withdrawn": None,
}


@contextmanager
def index(advisories: dict[str, list[dict[str, Any]]], asked: list[str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, version, _ = self.path.strip("/").split("/")
            asked.append(f"{name}=={version}")
            body = json.dumps({"info": {}, "vulnerabilities": advisories.get(name, [])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def audit(url: str) -> tuple[int, str]:
    environment = {**os.environ, "AUDIT_URL": url}
    done = subprocess.run(
        [sys.executable, "-I", AUDIT], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_vulnerable_library_fails_the_check_with_what_mends_it() -> None:
    with index({"paho-mqtt": [ADVISORY]}, []) as url:
        code, said = audit(url)

    assert code == 1
    assert "paho-mqtt 2.2.0 in the Debian package: PYSEC-2021-66, CVE-2020-28493" in said
    assert "mended by: 2.11.3" in said


def test_what_the_package_ships_and_what_is_installed_is_asked_for_and_what_was_withdrawn_does_not_count() -> (
    None
):
    asked: list[str] = []
    with index({"paho-mqtt": [{**ADVISORY, "withdrawn": "2021-02-01T00:00:00Z"}]}, asked) as url:
        code, said = audit(url)

    assert code == 0
    assert "no known vulnerability" in said
    shipped = {line.split()[0] for line in LIBRARIES.splitlines()}
    assert shipped <= set(asked)
    assert any(one.startswith("pytest==") for one in asked)


def test_where_nobody_can_be_asked_that_is_said_and_fails_nothing() -> None:
    code, said = audit("http://127.0.0.1:1")

    assert code == 0
    assert "NOTHING WAS CHECKED" in said
    assert "Connection refused" in said
