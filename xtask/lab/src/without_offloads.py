# SPDX-License-Identifier: AGPL-3.0-or-later
"""Switches the offloads of a device off, as `ethtool -K DEVICE rx off tx off sg off tso off gso off gro off` would."""

import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
# Get and set, of each: receive and transmit checksums, scatter-gather, TSO, GSO, GRO (linux/ethtool.h).
SWITCHES = [(0x14, 0x15), (0x16, 0x17), (0x18, 0x19), (0x1E, 0x1F), (0x23, 0x24), (0x2B, 0x2C)]

device = sys.argv[1].encode()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:

    def call(code):
        """The value that the device answers to `struct ethtool_value { code, 0 }`."""
        value = ctypes.create_string_buffer(struct.pack("II", code, 0), 8)
        # struct ifreq: the name, then a pointer.
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", device, ctypes.addressof(value)))
        return struct.unpack("II", value.raw)[1]

    for _, switch_off in SWITCHES:
        call(switch_off)
    kept = [hex(get) for get, _ in SWITCHES if call(get)]
sys.exit(f"{sys.argv[1]} keeps {kept}" if kept else 0)
