"""A real gatewayd at a real pseudo-terminal is recognised as the one that uses it."""

from pathlib import Path

from daemon import Daemon
from pty_port import SerialLine
from waiting import wait_until

from devices.serial_port.claims import claims, running
from devices.serial_port.ports import FoundPort


def test_a_gateway_is_known_by_what_it_has_open_and_to_other_users_by_its_lock(tmp_path: Path) -> None:
    with SerialLine(tmp_path) as line:
        source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
        with Daemon(tmp_path / "gateway", "127.0.0.1:1", source) as daemon:
            wait_until(lambda: daemon.state("line") == "connected", "the port is open")
            port = FoundPort(line.device, line.device, [], [], [], None, "", 1, "", may_open=True)
            known = f"gatewayd, process {daemon.pid}: the gateway itself"
            processes = running()

            assert known in [claim.who for claim in claims(port, processes)]
            unseen = [process._replace(opened=None) for process in processes]
            assert [claim.who for claim in claims(port, unseen)] == [known]

            daemon.kill()
            assert known not in [claim.who for claim in claims(port, running())]
