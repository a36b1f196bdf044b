"""The command-line clients of Eclipse Mosquitto in the role of a device."""

import subprocess

from device import credentials
from server import HANG_SECONDS


def command(program, server, device, *arguments, version="mqttv311"):
    """A command line with the credentials of a device."""
    client_id, username, password = credentials(device)
    who = ["-h", "127.0.0.1", "-p", str(server.mqtt_port), "-i", client_id, "-u", username, "-P", password]
    return [program, *who, "-V", version, *arguments]


def publish(server, device, topic, text, *arguments, qos=1, **how):
    """Ends well only when the server has acknowledged."""
    line = command("mosquitto_pub", server, device, "-t", topic, "-m", text, "-q", str(qos), *arguments, **how)
    done = subprocess.run(line, capture_output=True, text=True, timeout=HANG_SECONDS)
    return done.returncode, done.stderr


class Subscriber:
    """mosquitto_sub, which prints each message as `topic text`; it ends after `count` of them."""

    def __init__(self, server, device, topic, *arguments, count=1, qos=1, **how):
        extra = ["-t", topic, "-q", str(qos), "-F", "%t %p", "-C", str(count), *arguments]
        # One line is written when its subscription stands.
        line = ["stdbuf", "-oL", *command("mosquitto_sub", server, device, *extra, "-d", **how)]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = []

    def wait_for(self, text):
        """Reads on until a line that holds `text`."""
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if text in line:
                return self
        raise AssertionError(f"it ended without saying {text!r}: {self.said}")

    def messages(self):
        """What came until it ended by itself."""
        rest, _ = self.process.communicate(timeout=HANG_SECONDS)
        lines = self.said + rest.splitlines()
        return [tuple(line.split(" ", 1)) for line in lines if line.startswith("/")]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.process.wait(HANG_SECONDS)
