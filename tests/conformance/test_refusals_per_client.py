"""How each client hands a refused call to its user: gateway errors raise, business errors answer with Success=false."""

import datetime
import json
import xml.etree.ElementTree as ElementTree

import pytest
import requests
from aliyunsdkcore.utils import parameter_helper

import cloud as clouds
from fleet import refusal, unique

RAISES_ON_BUSINESS_ERRORS = (clouds.PopCore,)


def test_a_business_refusal_keeps_its_code_and_sentence(cloud):
    if isinstance(cloud, RAISES_ON_BUSINESS_ERRORS):
        with pytest.raises(clouds.Refused) as refused:
            cloud.call("QueryProduct", ProductKey="a1unknown00")
        assert refused.value.code == "iot.prod.NotExistedProduct"
        return
    reply = cloud.call("QueryProduct", ProductKey="a1unknown00")
    assert reply["Success"] is False
    assert reply["Code"] == "iot.prod.NotExistedProduct"
    assert reply["ErrorMessage"].startswith("The specified product does not exist.")
    assert reply["RequestId"]
    assert not reply.get("Data")


def test_a_wrong_secret_is_told_apart_from_a_broken_signature(cloud):
    """core compares the string to sign in the message with its own and then blames the secret."""
    stranger = type(cloud)(cloud.address, key_secret="anotherSecret")
    with pytest.raises(clouds.Refused) as refused:
        stranger.call("QueryProduct", ProductKey="a1unknown00")
    stranger.close()
    want = "InvalidAccessKeySecret" if isinstance(cloud, clouds.Core) else "SignatureDoesNotMatch"
    assert refused.value.code == want


def test_an_unknown_access_key_is_refused(cloud):
    stranger = type(cloud)(cloud.address, key_id="nobodysKey")
    with pytest.raises(clouds.Refused) as refused:
        stranger.call("QueryProduct", ProductKey="a1unknown00")
    stranger.close()
    assert refused.value.code == "InvalidAccessKeyId.NotFound"
    assert "Specified access key is not found." in refused.value.message


def test_a_number_that_is_none_is_refused_by_name(cloud):
    # The typed models and setters pass on what they are given.
    code, _ = refusal(cloud, "QueryDevice", ProductKey="a1unknown00", PageSize="many", CurrentPage=1)
    assert code == "InvalidPageSize"


def test_an_operation_that_does_not_exist_is_refused(core):
    request = core.request("QueryProduct", ProductKey="a1unknown00")
    request.set_accept_format("JSON")
    request.set_action_name("QueryProdukt")
    status, _, body = core.client.get_response(request)
    assert (status, json.loads(body)["Code"]) == (404, "InvalidAction.NotFound")


def test_a_request_sent_twice_is_refused_the_second_time(core, server):
    """Byte for byte the same request: its nonce was used."""
    request = core.request("QueryProduct", ProductKey="a1unknown00")
    request.set_accept_format("JSON")
    path = request.get_url(clouds.REGION, core.key_id, core.key_secret)
    first, second = (requests.post(server.url + path) for _ in range(2))
    assert (first.status_code, first.json()["Code"]) == (200, "iot.prod.NotExistedProduct")
    assert (second.status_code, second.json()["Code"]) == (400, "SignatureNonceUsed")


def test_a_business_refusal_in_xml_has_the_root_of_its_operation(core):
    status, headers, body = core.raw("QueryProduct", "XML", ProductKey="a1unknown00")
    assert (status, headers["Content-Type"]) == (200, "text/xml;charset=utf-8")
    root = ElementTree.fromstring(body)
    assert root.tag == "QueryProductResponse"
    assert root.findtext("Success") == "false"
    assert root.findtext("Code") == "iot.prod.NotExistedProduct"


def test_xml_carries_markup_in_values_as_text(core):
    text = "<b>&amp; \"q\" 'a' ]]>"
    key = core.ok("CreateProduct", ProductName=unique("product"), NodeType=0, Description=text)["ProductKey"]
    _, _, body = core.raw("QueryProduct", "XML", ProductKey=key)
    assert ElementTree.fromstring(body).findtext("Data/Description") == text


def test_signed_text_survives_the_way_of_every_client(cloud):
    """Blanks, plus signs, tildes, stars and Chinese are where percent-encodings differ."""
    text = "a b*c~d/固件+'()!% &=?#"
    key = cloud.ok("CreateProduct", ProductName=unique("product"), NodeType=0, Description=text)["ProductKey"]
    assert cloud.ok("QueryProduct", ProductKey=key)["Data"]["Description"] == text


def test_the_clock_of_the_request_may_differ_by_fifteen_minutes_only(core, server, monkeypatch):
    def minutes(shift):
        shifted = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=shift)
        monkeypatch.setattr(parameter_helper, "get_iso_8061_date", lambda: shifted.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return refusal(core, "QueryProduct", ProductKey="a1unknown00")[0]

    assert minutes(-14) == minutes(14) == "iot.prod.NotExistedProduct"
    assert minutes(-16) == minutes(16) == "InvalidTimeStamp.Expired"
