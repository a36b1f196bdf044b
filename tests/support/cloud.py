"""The official cloud clients, unmodified, behind one small face: `call(action, **parameters)` in wire names.

Every client builds, signs and sends the request and parses the reply with its own code. Parameters and results are plain
values in the names of the API, so that one scenario can be driven by each of them.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys

import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from alibabacloud_iot20180120 import models as tea_models
from alibabacloud_iot20180120.client import Client as TeaClient
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException

from server import KEY_ID, KEY_SECRET, ROOT

REGION = "cn-shanghai"


class Refused(Exception):
    """The client raised its own exception for a refused call; `code` and `message` are what it gives its user."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Cloud:
    """One account, seen through one client."""

    name = "?"
    # Fields of a job that its models don't know yet.
    lacks = ()
    # Whether it shows every field of a reply; older models leave out what they don't know.
    knows_all_fields = True
    # Whether its models know packages of several files.
    knows_several_files = True
    # Operations that its release doesn't have.
    unknown = ()

    def __init__(self, address, key_id=KEY_ID, key_secret=KEY_SECRET):
        self.address, self.key_id, self.key_secret = address, key_id, key_secret

    def call(self, action, **parameters):
        """The reply of one call, refused or not, as the client hands it out. Raises `Refused` when the client raises."""
        raise NotImplementedError

    def ok(self, action, **parameters):
        """The reply of a call that has to succeed."""
        reply = self.call(action, **parameters)
        assert reply.get("Success") is True, f"{self.name} {action}: {reply}"
        assert reply.get("RequestId"), f"{self.name} {action}: {reply}"
        return reply

    def close(self):
        pass


class Core(Cloud):
    """aliyun-python-sdk-core with the request classes of aliyun-python-sdk-iot."""

    name = "core"

    def __init__(self, address, key_id=KEY_ID, key_secret=KEY_SECRET):
        super().__init__(address, key_id, key_secret)
        self.client = AcsClient(key_id, key_secret, REGION, auto_retry=False)

    def request(self, action, **parameters):
        module = importlib.import_module(f"aliyunsdkiot.request.v20180120.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint(self.address)
        request.set_protocol_type("http")
        for name, value in parameters.items():
            # The setters of repeated parameters have an `s` behind the name.
            setter = f"set_{name}s" if isinstance(value, list) else f"set_{name}"
            getattr(request, setter)(value)
        return request

    def call(self, action, **parameters):
        try:
            return json.loads(self.client.do_action_with_exception(self.request(action, **parameters)))
        except ServerException as refused:
            raise Refused(refused.get_error_code(), refused.get_error_msg()) from refused

    def raw(self, action, accept, **parameters):
        """Status, headers and bytes of a call that asks for JSON or XML."""
        request = self.request(action, **parameters)
        request.set_accept_format(accept)
        return self.client.get_response(request)


class Tea(Cloud):
    """alibabacloud-iot20180120 with its typed models, signing with ACS3-HMAC-SHA256."""

    name = "tea-v3"
    algorithm = None

    def __init__(self, address, key_id=KEY_ID, key_secret=KEY_SECRET):
        super().__init__(address, key_id, key_secret)
        config = Config(access_key_id=key_id, access_key_secret=key_secret, region_id=REGION)
        config.endpoint, config.protocol, config.signature_algorithm = address, "http", self.algorithm
        self.client = TeaClient(config)

    def typed(self, action, **parameters):
        """The body of the reply as the typed model of the operation."""
        request = getattr(tea_models, f"{action}Request")().from_map(parameters)
        wanted = action.lower()
        # create_otaverify_job and the like: the generator's split of the words is not worth repeating.
        method = next(m for m in dir(self.client) if m.replace("_", "") == wanted)
        try:
            return getattr(self.client, method)(request).body
        except TeaException as refused:
            raise Refused(refused.code, refused.message) from refused

    def call(self, action, **parameters):
        # A shape that the model does not have leaves no body: the client swallows its own parse error.
        body = self.typed(action, **parameters)
        assert body is not None, f"{action}: the reply does not fit the typed model"
        return body.to_map()


class TeaV1(Tea):
    """The same client told to use the older signature, HMAC-SHA1 in the query."""

    name = "tea-v1"
    algorithm = "v2"


class Lines(Cloud):
    """A client in a process of its own, which takes calls as lines of JSON."""

    method = "POST"

    def __init__(self, address, key_id=KEY_ID, key_secret=KEY_SECRET):
        super().__init__(address, key_id, key_secret)
        command, environment = self.command()
        self.process = subprocess.Popen(
            [*command, address, key_id, key_secret],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def command(self):
        """The program with its first arguments, and what it needs in its environment."""
        raise NotImplementedError

    def call(self, action, **parameters):
        request = {"action": action, "parameters": parameters, "method": self.method}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            raise Refused(answer["refused"]["code"], answer["refused"]["message"])
        assert answer["reply"] is not None, f"{action}: the reply does not fit the typed model"
        return answer["reply"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class OlderTea(Lines):
    """An earlier release of alibabacloud-iot20180120; `./test` puts each into a folder of its own."""

    release = "?"
    knows_all_fields = False

    def command(self):
        folder = ROOT / ".venv" / "releases" / self.release
        assert folder.is_dir(), f"{folder} is missing: ./test conformance makes it"
        return [sys.executable, str(ROOT / "tests" / "support" / "tea_lines.py")], {"PYTHONPATH": str(folder)}


class Tea2(OlderTea):
    name = "tea-2.4.0"
    release = "2.4.0"
    lacks = ("DownloadProtocol", "MultiModuleMode")
    knows_several_files = False
    unknown = (
        "ModifyOTAFirmware",
        "UpdateOTAJob",
        "ReupgradeOTATask",
        "CreateDeviceDynamicGroup",
        "DeleteDeviceDynamicGroup",
        "QueryDynamicGroupDevices",
    )


class Tea4(OlderTea):
    name = "tea-4.2.0"
    release = "4.2.0"
    unknown = ("UpdateOTAJob",)


class Node(Lines):
    script = "?"

    def command(self):
        return ["node", str(ROOT / "tests" / "conformance" / "node" / self.script)], {}


class PopCore(Node):
    """@alicloud/pop-core."""

    name = "pop-get"
    script = "pop.js"
    method = "GET"


class PopCorePost(PopCore):
    """The same client with everything, Action and Signature included, in the form body."""

    name = "pop-post"
    method = "POST"


class RpcClient(Node):
    """@alicloud/rpc-client, on which the typed clients of older releases are built."""

    name = "rpc-client"
    script = "rpc.js"


class TypeScript(Node):
    """@alicloud/iot20180120 with its typed models."""

    name = "typescript"
    script = "typed.js"
    unknown = ("ModifyOTAFirmware", "UpdateOTAJob")


CLIENTS = [Core, Tea, TeaV1, Tea2, Tea4, PopCore, PopCorePost, RpcClient, TypeScript]


def upload(ticket, content, name="firmware.bin"):
    """The form upload of the vendor's sample: text fields, then `file` last; returns the response."""
    fields = {
        "key": ticket["Key"],
        "policy": ticket["Policy"],
        "OSSAccessKeyId": ticket["OSSAccessKeyId"],
        "signature": ticket["Signature"],
        "success_action_status": "200",
    }
    # The sample posts to `{Host}/`: the object's name stands in the form only.
    return requests.post(ticket["Host"].rstrip("/") + "/", data=fields, files={"file": (pathlib.PurePath(name).name, content)})
