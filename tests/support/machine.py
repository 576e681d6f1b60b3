"""A machine with serial ports: what its kernel and udev would have written below /dev, /proc and /sys."""

import os
from pathlib import Path


class Machine:
    """Its root is a folder. Links are relative, as in sysfs, so that they lead nowhere else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("dev", "proc", "sys/class/tty", "sys/devices", "sys/bus"):
            (root / folder).mkdir(parents=True)
        self.write("proc/cmdline", "quiet")
        self.write(
            "proc/locks", "1: POSIX  ADVISORY  WRITE 17 fe:00:99 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 17\n"
        )

    def write(self, path: str, text: str) -> None:
        """A file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text + "\n")

    def link(self, path: str, target: str) -> None:
        """A link to a path below the root."""
        at = self.root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(os.path.relpath(self.root / target, at.parent))

    def usb(self, tty: str, socket: str, by_id: str = "", **said: str) -> str:
        """An adapter in a socket such as `1-1.2`; returns its name in by-path. `said`: files of the USB device."""
        device = f"sys/devices/pci/usb1/{socket}"
        interface = f"{device}/{socket}:1.0"
        said = {"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial"} | said
        for name, text in said.items():
            self.write(f"{device}/{name}", text)
        self.write(f"{interface}/bInterfaceNumber", "00")
        self.link(f"{device}/driver", "sys/bus/usb/drivers/usb")
        self.write(f"{interface}/{tty}/port_number", "0")
        self.link(f"{interface}/{tty}/driver", "sys/bus/usb-serial/drivers/ch341-uart")
        self._terminal(tty, f"{interface}/{tty}")
        by_path = f"dev/serial/by-path/pci-usb-0:{socket}:1.0-port0"
        self.link(by_path, f"dev/{tty}")
        if by_id:
            (self.root / "dev/serial/by-id" / by_id).unlink(missing_ok=True)  # the last one gets it
            self.link(f"dev/serial/by-id/{by_id}", f"dev/{tty}")
        return f"/{by_path}"

    def uart(self, tty: str, driver: str = "uart-pl011", kind: str = "32") -> None:
        """A UART of the board, below the layer that kernels have put there since 6.5."""
        device = f"sys/devices/platform/{tty}.serial"
        inner = f"{device}/{tty}.serial:0/{tty}.serial:0.0"
        (self.root / inner).mkdir(parents=True)
        self.link(f"{device}/driver", f"sys/bus/amba/drivers/{driver}")
        self.link(f"{inner}/driver", "sys/bus/serial-base/drivers/port")
        self._terminal(tty, inner)
        self.write(f"sys/class/tty/{tty}/type", kind)

    def process(self, pid: int, program: str, *arguments: str, holds: str = "", seen: bool = True) -> None:
        """A running program; `holds` a path, if what it holds is `seen`."""
        self.write(f"proc/{pid}/comm", program)
        self.write(f"proc/{pid}/cmdline", "\0".join([program, *arguments, ""]))
        if seen:
            (self.root / f"proc/{pid}/fd").mkdir()
            for number, target in enumerate(["/dev/null", *([holds] if holds else [])]):
                (self.root / f"proc/{pid}/fd/{number}").symlink_to(target)

    def lock(self, tty: str, pid: int) -> None:
        """A process has locked a port."""
        status = (self.root / "dev" / tty).stat()
        where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with (self.root / "proc/locks").open("a") as locks:
            locks.write(f"3: FLOCK  ADVISORY  WRITE {pid} {where} 0 EOF\n")

    def _terminal(self, tty: str, device: str) -> None:
        (self.root / f"dev/{tty}").touch()
        (self.root / f"dev/{tty}").chmod(0o660)
        self.link(f"{device}/tty/{tty}/device", device)
        self.link(f"sys/class/tty/{tty}", f"{device}/tty/{tty}")
