"""TLS by `openssl s_client`, as a user would try it, and by Python's own module."""

import re
import socket
import ssl
import subprocess

from server import HANG_SECONDS

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
