"""What most scenarios start with: a product, its devices, an uploaded package."""

import hashlib
import itertools

import cloud as clouds

_serial = itertools.count(1)


def unique(prefix):
    """A name not used before in this run: product and package names are unique in the account."""
    return f"{prefix}-{next(_serial)}"


class Fleet:
    """One product of the account, driven through any of the clients."""

    def __init__(self, cloud, **parameters):
        self.cloud = cloud
        self.product_name = unique("product")
        self.product = cloud.ok("CreateProduct", ProductName=self.product_name, NodeType=0, **parameters)["Data"]
        self.product_key = self.product["ProductKey"]

    def device(self, name=None):
        """A registered device: ProductKey, DeviceName, DeviceSecret, IotId."""
        name = name or unique("device")
        return self.cloud.ok("RegisterDevice", ProductKey=self.product_key, DeviceName=name)["Data"]

    def topic(self, name, operation):
        """A topic of their own that devices may use below `user/`: PUB, SUB or ALL."""
        self.cloud.ok("CreateProductTopic", ProductKey=self.product_key, TopicShortName=name, Operation=operation)

    def package(self, version, content=None, **parameters):
        """Upload a file and make a package of it; its id and the file's bytes."""
        content = content or f"firmware {version} ".encode() * 4096
        ticket = self.cloud.ok("GenerateOTAUploadURL", FileSuffix="bin")["Data"]
        response = clouds.upload(ticket, content)
        assert response.status_code == 200, response.text
        given = {
            "FirmwareName": unique("package"),
            "DestVersion": version,
            "ProductKey": self.product_key,
            "FirmwareUrl": ticket["FirmwareUrl"],
            "NeedToVerify": False,
        }
        reply = self.cloud.ok("CreateOTAFirmware", **(given | parameters))
        return reply["Data"]["FirmwareId"], content

    def static_job(self, firmware_id, names, **parameters):
        given = {"TargetSelection": "SPECIFIC", "TargetDeviceName": list(names)}
        reply = self.cloud.ok(
            "CreateOTAStaticUpgradeJob", FirmwareId=firmware_id, ProductKey=self.product_key, **(given | parameters)
        )
        return reply["Data"]["JobId"]

    def tasks(self, job_id, **parameters):
        """All rows of a job in the order given, page by page."""
        rows, page = [], 1
        while True:
            reply = self.cloud.ok("ListOTATaskByJob", JobId=job_id, PageSize=100, CurrentPage=page, **parameters)
            rows += reply["Data"]["SimpleOTATaskInfo"]
            if page >= reply["PageCount"]:
                assert len(rows) == reply["Total"]
                return rows
            page += 1

    def task(self, job_id):
        (row,) = self.tasks(job_id)
        return row

    def job(self, job_id):
        return self.cloud.ok("QueryOTAJob", JobId=job_id)["Data"]

    def detail(self, name):
        return self.cloud.ok("QueryDeviceDetail", ProductKey=self.product_key, DeviceName=name)["Data"]


def md5(content):
    return hashlib.md5(content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def of_status(task, status):
    """The row when it has that status, else nothing: for waiting."""
    return task if task["TaskStatus"] == status else None


def refusal(cloud, action, **parameters):
    """Code and text of a refused call, however the client hands them out."""
    try:
        reply = cloud.call(action, **parameters)
    except clouds.Refused as refused:
        return refused.code, refused.message
    assert reply["Success"] is False, f"{action} was not refused: {reply}"
    return reply["Code"], reply["ErrorMessage"]
