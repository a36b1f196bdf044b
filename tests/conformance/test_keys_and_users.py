"""Keys, users and temporary keys, made by the program on a running server and used by the official clients."""

import os
import subprocess
import tomllib

import pytest
from alibabacloud_iot20180120.client import Client as TeaClient
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient

import cloud as clouds
from fleet import unique
from server import binary

FIRST_PAGE = {"CurrentPage": 1, "PageSize": 10}


def otaru(server, *arguments):
    """Runs the command on the server's folder; returns what it printed, or what it said against it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")}
    command = [binary(), *arguments, "--data", str(server.data)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr


def new_key(server, *arguments):
    return tomllib.loads(otaru(server, "key", *arguments))


def core(server, key, token):
    cloud = clouds.Core(server.http)
    sts = StsTokenCredential(key["access_key_id"], key["access_key_secret"], token)
    cloud.client = AcsClient(region_id=clouds.REGION, credential=sts, auto_retry=False)
    return cloud


def tea(kind):
    def with_token(server, key, token):
        cloud = kind(server.http)
        config = Config(
            access_key_id=key["access_key_id"],
            access_key_secret=key["access_key_secret"],
            security_token=token,
            region_id=clouds.REGION,
        )
        config.endpoint, config.protocol, config.signature_algorithm = server.http, "http", kind.algorithm
        cloud.client = TeaClient(config)
        return cloud

    return with_token


def code(cloud, action="ListOTAFirmware", **parameters):
    """The code that a call is refused with, or `ok`."""
    try:
        reply = cloud.call(action, **(parameters or FIRST_PAGE))
    except clouds.Refused as refused:
        return refused.code
    return "ok" if reply["Success"] else reply["Code"]


@pytest.mark.parametrize("client", [core, tea(clouds.Tea), tea(clouds.TeaV1)], ids=["core", "tea-v3", "tea-v1"])
def test_a_temporary_key_is_good_with_its_token_and_permissions(client, server):
    user = unique("ci")
    assert otaru(server, "user", "create", user, "--read", "--all-products") == ""
    key = new_key(server, "temporary", "--user", user, "--hours", "1")
    other = new_key(server, "temporary", "--hours", "1")
    cloud = client(server, key, key["security_token"])
    assert code(cloud) == "ok"
    assert code(cloud, "CreateProduct", NodeType=0, ProductName=unique("lamp")) == "iot.common.RamActionPermissionDeny"
    assert code(client(server, key, "CAISnothing")) == "InvalidSecurityToken.Malformed"
    assert code(client(server, key, other["security_token"])) == "InvalidSecurityToken.MismatchWithAccessKey"
    assert otaru(server, "user", "disable", user) == ""
    assert code(cloud) == "Forbidden.AccessKeyDisabled"
    assert otaru(server, "user", "delete", user) == ""
    assert code(cloud) == "InvalidAccessKeyId.NotFound"


def test_a_temporary_key_without_its_token_is_told_so(server):
    key = new_key(server, "temporary")
    without = clouds.Core(server.http, key["access_key_id"], key["access_key_secret"])
    assert code(without) == "MissingSecurityToken"


def test_a_key_is_rotated_disabled_and_deleted_while_the_server_runs(cloud, server):
    old = new_key(server, "create")

    def by(key):
        return type(cloud)(server.http, key["access_key_id"], key["access_key_secret"])

    clients = [by(old), by(new_key(server, "rotate", old["access_key_id"]))]
    assert [code(client) for client in clients] == ["ok", "ok"]
    new = clients[1].key_id
    for act, want in [("disable", "InvalidAccessKeyId.Inactive"), ("enable", "ok"), ("delete", "InvalidAccessKeyId.NotFound")]:
        assert otaru(server, "key", act, new) == ""
        assert [code(client) for client in clients] == ["ok", want]
    for client in clients:
        client.close()
    listed = otaru(server, "key", "list")
    assert old["access_key_id"] in listed and new not in listed
    assert old["access_key_secret"] not in listed
