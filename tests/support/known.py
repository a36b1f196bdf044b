"""The identities of tests/spec/vectors.json in a real server: its signatures are worth nothing with other keys."""

import json
import sqlite3

import cloud as clouds
import postgres
from server import ROOT

VECTORS = json.loads((ROOT / "tests" / "spec" / "vectors.json").read_text())
INPUTS = VECTORS["inputs"]


def furnish(server):
    """Makes a gateway and a sub-device, and gives them and their products the keys, names and secrets of the vectors.

    The API draws keys and secrets by itself, so they are put into the store while the server is down.
    """
    core = clouds.Core(server.http)
    for prefix, node_type in (("", 1), ("sub_", 0)):
        product_key = core.ok("CreateProduct", ProductName=f"{prefix}known", NodeType=node_type)["ProductKey"]
        core.ok("RegisterDevice", ProductKey=product_key, DeviceName=INPUTS[f"{prefix}device_name"])
    assert server.stop() == 0
    for prefix in ("", "sub_"):
        who = (INPUTS[f"{prefix}device_secret"], INPUTS[f"{prefix}device_name"])
        change(server, "UPDATE device SET secret = '{}' WHERE name = '{}' RETURNING no", who)
        what = (INPUTS[f"{prefix}product_key"], INPUTS[f"{prefix}product_secret"], f"{prefix}known")
        change(server, "UPDATE product SET key = '{}', secret = '{}' WHERE name = '{}' RETURNING no", what)
    server.start()


def change(server, statement, values):
    """Changes one row of a store that no server has."""
    statement = statement.format(*values)
    if server.store:
        assert len(postgres.sql(server.store, f"SET search_path = otaru; {statement}").splitlines()) == 1
        return
    with sqlite3.connect(server.data / "otaru.db") as store:
        assert len(store.execute(statement).fetchall()) == 1
    store.close()


def device(prefix=""):
    """One of the devices as the rest of the tests know them."""
    return {
        "ProductKey": INPUTS[f"{prefix}product_key"],
        "DeviceName": INPUTS[f"{prefix}device_name"],
        "DeviceSecret": INPUTS[f"{prefix}device_secret"],
    }
