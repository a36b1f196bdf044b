"""The vendor's device SDKs for Node.js as published, each device in a process of its own."""

import json
import queue
import subprocess
import threading

from server import HANG_SECONDS, ROOT

OLD, NEW = "aliyun-iot-device-sdk", "alibabacloud-iot-device-sdk"


class NodeDevice:
    """A device or gateway; the application that these SDKs leave to their user is played by the test."""

    def __init__(self, server, device, sdk=NEW, role="device", environment=None, **config):
        self.product_key, self.name = device["ProductKey"], device["DeviceName"]
        config = {
            "productKey": self.product_key,
            "deviceName": self.name,
            "deviceSecret": device["DeviceSecret"],
            "brokerUrl": f"mqtt://127.0.0.1:{server.mqtt_port}/",
        } | config
        script = ROOT / "tests" / "conformance" / "node" / "device.js"
        command = ["node", str(script), sdk, role, json.dumps(config)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.lines = queue.Queue()
        self.kept = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self, what, wanted):
        """The next line that is wanted; others wait for whoever wants them."""
        for index, line in enumerate(self.kept):
            if wanted(line):
                return self.kept.pop(index)
        while True:
            try:
                line = self.lines.get(timeout=HANG_SECONDS)
            except queue.Empty:
                raise AssertionError(f"waited in vain for {what}; came: {self.kept}") from None
            if wanted(line):
                return line
            self.kept.append(line)

    def next_event(self, event, **members):
        def wanted(line):
            return line.get("event") == event and all(line.get(name) == value for name, value in members.items())

        return self.next(f"{event} {members}", wanted)

    def connect(self):
        self.next_event("connect", of="")
        return self

    def call(self, name, *arguments, of=""):
        self._say({"call": name, "arguments": arguments, "of": of})

    def ask(self, name, *arguments, of=""):
        """Calls and returns what the SDK's callback is given."""
        self._say({"call": name, "arguments": arguments, "of": of, "reply": True})
        return self.next(f"the reply of {name}", lambda line: line.get("called") == name)["reply"][0]

    def _say(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def publish(self, topic, message):
        """Returns once the server has acknowledged."""
        self._say({"call": "publish", "arguments": [topic, json.dumps(message), {"qos": 1}], "reply": True})
        error = self.next("an acknowledgement", lambda line: line.get("called") == "publish")["reply"]
        assert not error or error[0] is None, error

    def next_message(self, topic):
        return json.loads(self.next_event("message", topic=topic)["payload"])

    def report_version(self, version, of=None):
        product_key, name = of or (self.product_key, self.name)
        self.publish(f"/ota/device/inform/{product_key}/{name}", {"id": 1, "params": {"version": version}})

    def report_progress(self, step, of=None):
        product_key, name = of or (self.product_key, self.name)
        message = {"id": 1, "params": {"step": str(step), "desc": ""}}
        self.publish(f"/ota/device/progress/{product_key}/{name}", message)

    def next_push(self, of=None):
        product_key, name = of or (self.product_key, self.name)
        return self.next_message(f"/ota/device/upgrade/{product_key}/{name}")["data"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(HANG_SECONDS)
        self.reader.join(HANG_SECONDS)
        self.process.stdout.close()
