"""TLS by `openssl s_client`, as a user would try it, and by Python's own module."""

import contextlib
import hashlib
import hmac
import os
import re
import socket
import ssl
import subprocess

from server import HANG_SECONDS

# The library under the server that is tested, as `./test aws-lc` says it.
ON_AWS_LC = os.environ.get("OTARU_TLS_LIBRARY") == "aws-lc"
TLS_LISTENERS = ("--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0")


def s_client(address, ca, *arguments, name="localhost"):
    """What `openssl s_client` says of a handshake, and its exit status."""
    command = ["openssl", "s_client", "-connect", address, "-servername", name, "-verify_hostname", name]
    command += ["-CAfile", str(ca), "-verify_return_error", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_SECONDS)
    return done.returncode, done.stdout + done.stderr


def agreed(address, ca, *arguments, **how):
    """Suite, and kind of key of the leaf, that `openssl s_client` gets to."""
    status, text = s_client(address, ca, *arguments, **how)
    assert status == 0 and "Verify return code: 0 (ok)" in text, text
    return re.search(r"Cipher is (\S+)", text)[1], re.search(r"Public-Key: \((\d+) bit\)|Server public key is (\d+) bit", text)[2]


def connect(address, ca, name="localhost", version=None):
    """A socket under TLS. Without a CA those of the system are trusted."""
    context = ssl.create_default_context(cafile=ca and str(ca))
    context.maximum_version = version or context.maximum_version
    host, port = address.rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), timeout=HANG_SECONDS)
    return context.wrap_socket(plain, server_hostname=name)


def device_psk(device):
    """Identity and key with which the vendor's C SDK 4 opens TLS. The key is text that is taken for bytes."""
    name, timestamp = f"{device['ProductKey']}&{device['DeviceName']}", "2524608000000"
    signed = f"id{name}timestamp{timestamp}".encode()
    key = hmac.new(device["DeviceSecret"].encode(), signed, hashlib.sha256).hexdigest().upper()
    return f"devicename|hmacsha256|{name}|{timestamp}", key.encode()


@contextlib.contextmanager
def psk_client(address, identity, key, suite="PSK-AES128-CBC-SHA"):
    """`openssl s_client` with a key: what goes in and out of it is what passes under TLS."""
    command = ["openssl", "s_client", "-connect", address, "-quiet", "-tls1_2", "-cipher", suite]
    command += ["-psk_identity", identity, "-psk", key.hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        try:
            yield client
        finally:
            client.kill()
