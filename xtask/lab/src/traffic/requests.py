# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fetches a URL again and again; prints, of each answer, the time since 1970 and the seconds it took."""

import sys
import time
import urllib.request

# No proxy: what the environment says holds for the machine's own network, not for the lab.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    began = time.monotonic()
    with opener.open(sys.argv[1], timeout=20) as answer:
        answer.read()
    print(f"{time.time():.6f} {time.monotonic() - began:.6f}")
    time.sleep(0.05)
