"""Certificates of devices: of the server's CA by its own command, and of an operator's by the `openssl` command."""

import os
import re
import signal
import subprocess

from server import HANG_SECONDS, binary, wait_for

CONFIG = """
[ca]
default_ca = ours
[ours]
dir = {folder}
database = $dir/index
new_certs_dir = $dir
serial = $dir/serial
certificate = {ca}
private_key = {key}
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
[any]
commonName = supplied
"""


def common_name(device):
    return f"{device['DeviceName']}&{device['ProductKey']}"


def run(*arguments):
    return subprocess.run([*map(str, arguments)], check=True, capture_output=True, text=True, timeout=HANG_SECONDS)


def request(folder, name, kind="rsa:2048"):
    """A key, and a request for a certificate for it."""
    key, made = folder / "device.key", folder / "device.csr"
    run("openssl", "req", "-newkey", kind, "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", made)
    return key, made


def issue(server, device, folder, *arguments):
    """One of the server's CA: a file with the certificate and, unless there is a request, its key; and its serial number."""
    who = ["--product-key", device["ProductKey"], "--device-name", device["DeviceName"]]
    done = run(binary(), "device-cert", "--data", server.data, *who, *arguments)
    serial = re.fullmatch(r"serial ([0-9A-F]+)\n", done.stderr)[1]
    file = folder / f"{device['DeviceName']}-{serial[-8:]}.pem"
    file.write_text(done.stdout)
    return str(file), serial


def reload(server):
    """Makes the server read its files again; returns once it has."""
    said = lambda: server.log.read_text().count("loaded anew")
    before = said()
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for("the files are read", lambda: said() > before)


class Authority:
    """A CA of the operator's."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.ca, self.key, self.crl = (folder / name for name in ("ca.pem", "ca.key", "crl.pem"))
        self.config = folder / "config"
        self.config.write_text(CONFIG.format(folder=folder, ca=self.ca, key=self.key))
        (folder / "index").write_text("")
        (folder / "serial").write_text("1000\n")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={folder.name}", "-keyout", self.key, "-out", self.ca)
        self.list()

    def issue(self, name, *arguments):
        """A file with a certificate for this name, and its key."""
        key, asked = request(self.folder, name)
        file = self.folder / f"{len(list(self.folder.iterdir()))}.pem"
        run("openssl", "ca", "-batch", "-notext", "-config", self.config, "-in", asked, "-out", file, *arguments)
        file.write_text(file.read_text() + key.read_text())
        return str(file)

    def revoke(self, certificate):
        run("openssl", "ca", "-config", self.config, "-revoke", certificate)
        self.list()

    def list(self):
        run("openssl", "ca", "-config", self.config, "-gencrl", "-out", self.crl)
