"""One release of alibabacloud-iot20180120, in a process of its own: releases can't be imported side by side.

Run with the folder of the release first in PYTHONPATH. One call per line of JSON on stdin, one answer per line on stdout:
  {"action": "...", "parameters": {...}}  ->  {"reply": {...}} or {"refused": {"code", "message"}}
"""

import json
import sys

from alibabacloud_iot20180120 import models
from alibabacloud_iot20180120.client import Client
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException


def answer(client, action, parameters):
    request = getattr(models, f"{action}Request")().from_map(parameters)
    method = next(m for m in dir(client) if m.replace("_", "") == action.lower())
    try:
        body = getattr(client, method)(request).body
    except TeaException as refused:
        return {"refused": {"code": refused.code, "message": refused.message}}
    # Without a body the reply does not fit the typed model: the client swallows its own parse error.
    return {"reply": body.to_map() if body is not None else None}


def main():
    endpoint, key_id, key_secret = sys.argv[1:]
    config = Config(access_key_id=key_id, access_key_secret=key_secret, region_id="cn-shanghai")
    config.endpoint, config.protocol = endpoint, "http"
    client = Client(config)
    for line in sys.stdin:
        call = json.loads(line)
        print(json.dumps(answer(client, call["action"], call["parameters"])), flush=True)


main()
