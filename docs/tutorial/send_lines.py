"""Send one line a second into a serial port, as a small board with a sensor does.

    python send_lines.py /dev/ttyUSB0     into a real port
    python send_lines.py                  into a pretended port, whose name is printed for the gateway to read

Needs: pip install pyserial
"""

import itertools
import os
import sys
import time
import tty

import serial

if len(sys.argv) > 1:
    # A real port: the gateway reads at the other end of the cable, at the same speed.
    write = serial.Serial(sys.argv[1], 9600).write
else:
    # A pseudo-terminal is a cable inside this machine: we write at one end, the gateway opens the other one.
    our_end, their_end = os.openpty()
    tty.setraw(their_end)  # bytes pass as they are, as on a cable

    def write(data: bytes) -> int:
        """Write into our end."""
        return os.write(our_end, data)

    print(f'port = "{os.ttyname(their_end)}"', flush=True)

for count in itertools.count():
    # A name, a colon, a value, the end of the line: that is all the gateway needs.
    write(f"sensor_value: {20 + count % 10}\n".encode())
    time.sleep(1)
