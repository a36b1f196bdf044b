#!/usr/bin/env python3
"""What connections of devices cost the server, plain and under TLS: CPU time for a connect, resident memory for a connection.

    cargo build --release && OTARU_BIN=target/release/otaru python3 tests/bench/tls.py [DEVICES]

Prints a table in Markdown. For each row a server starts on an empty folder, and `otaru fleet connect` opens connections
that subscribe and stay; DEVICES is 2,000 without an argument. The first row is what is left without TLS.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from server import KEY_ID, KEY_SECRET, Server, binary  # noqa: E402

# None: no TLS; "": TLS 1.3.
ROWS = {
    "plain": None,
    "TLS 1.3, P-256": "",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "AES128-SHA256 (key exchange by RSA)": "AES128-SHA256",
    "AES256-SHA (key exchange by RSA)": "AES256-SHA",
}
# A run before the one that counts, so that code and caches are in memory.
WARM_UP = 100


def connect(server, devices, suite):
    command = [binary(), "fleet", "connect", "--devices", str(devices), "--pid", str(server.process.pid), "--threads", "1"]
    command += ["--connecting", "50", "--data", str(server.data), "--access-key-id", KEY_ID, "--access-key-secret", KEY_SECRET]
    if suite is not None:
        command += ["--tls-ca", str(server.ca), *(["--tls-suite", suite] if suite else [])]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert figures["done"] == devices, figures["failures"]
    return figures["server"]


def measure(suite, devices):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder, "--mqtts", "127.0.0.1:0").start()
        try:
            connect(server, WARM_UP, suite)
            return connect(server, devices, suite)
        finally:
            server.stop()


def main():
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    print("| Connection | ms CPU per connect | kB per connection |")
    print("|---|---|---|")
    for name, suite in ROWS.items():
        figures = measure(suite, devices)
        print(f"| {name} | {figures['cpu_us_each'] / 1000:.2f} | {figures['rss_bytes_each'] / 1000:.1f} |", flush=True)


if __name__ == "__main__":
    main()
