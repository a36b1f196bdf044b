"""The form upload: the vendor's sample works, and a form that is not as issued stores nothing."""

import pytest
import requests

import cloud as clouds
from fleet import md5, unique


@pytest.fixture
def ticket(core):
    return core.ok("GenerateOTAUploadURL")["Data"]


def form(ticket):
    return {
        "key": ticket["Key"],
        "policy": ticket["Policy"],
        "OSSAccessKeyId": ticket["OSSAccessKeyId"],
        "signature": ticket["Signature"],
    }


def test_a_ticket_names_the_object_it_will_make(ticket):
    assert ticket["ObjectStorage"] == "OSS"
    assert ticket["Key"].endswith(".bin")
    assert ticket["FirmwareUrl"] == ticket["Host"].rstrip("/") + "/" + ticket["Key"]


def test_an_upload_answers_200_when_asked_to_and_else_204(ticket):
    assert clouds.upload(ticket, b"firmware").status_code == 200
    again = requests.post(ticket["Host"] + "/", data=form(ticket), files={"file": ("f.bin", b"second try")})
    assert (again.status_code, again.content) == (204, b"")


def test_what_was_uploaded_last_is_the_package(ticket, fleet):
    for content in (b"first", b"second"):
        assert clouds.upload(ticket, content).status_code == 200
    made = fleet.cloud.ok(
        "CreateOTAFirmware",
        FirmwareName=unique("package"),
        DestVersion="1.0.1",
        ProductKey=fleet.product_key,
        FirmwareUrl=ticket["FirmwareUrl"],
    )
    info = fleet.cloud.ok("QueryOTAFirmware", FirmwareId=made["Data"]["FirmwareId"])["FirmwareInfo"]
    assert (info["FirmwareSign"], info["FirmwareSize"]) == (md5(b"second"), 6)
    refused = clouds.upload(ticket, b"third")
    assert (refused.status_code, "<Code>AccessDenied</Code>" in refused.text) == (403, True)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"key": "ota/elsewhere.bin"}, 403, "AccessDenied"),
        ({"key": "../../../etc/passwd"}, 403, "AccessDenied"),
        ({"signature": "AAAA"}, 403, "SignatureDoesNotMatch"),
        ({"OSSAccessKeyId": "nobody"}, 403, "InvalidAccessKeyId"),
        ({"policy": None}, 400, "MalformedPOSTRequest"),
        ({"x-note": "n" * 5000}, 400, "FieldItemTooLong"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_a_form_that_is_not_as_issued_is_refused(ticket, change, status, code):
    fields = {name: value for name, value in (form(ticket) | change).items() if value is not None}
    response = requests.post(ticket["Host"] + "/", data=fields, files={"file": ("f.bin", b"firmware")})
    assert (response.status_code, f"<Code>{code}</Code>" in response.text) == (status, True), response.text


def test_a_form_without_a_file_is_refused(ticket):
    # `files` with a text value makes requests send multipart/form-data all the same.
    response = requests.post(ticket["Host"] + "/", files={name: (None, value) for name, value in form(ticket).items()})
    assert (response.status_code, "IncorrectNumberOfFilesInPOSTRequest" in response.text) == (400, True)
