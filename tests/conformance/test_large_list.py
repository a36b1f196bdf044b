"""A list file with many names becomes tasks while devices go on being served, in bounded memory.

OTARU_LIST_NAMES says how many; at full scale, on a release build and with what it measured printed:
  OTARU_LIST_NAMES=1000000 OTARU_BIN=target/release/otaru .venv/bin/python -B -m pytest -c tests/pytest.ini -s tests/conformance/test_large_list.py
"""

import os
import pathlib
import threading
import time

import cloud as clouds
from fleet import unique
from server import wait_for

NAMES = int(os.environ.get("OTARU_LIST_NAMES", "20000"))
BATCH = 10_000
# What the server may grow by, whatever the length of the list: caches, not the list.
GROWTH_MB = 256


def usage(server):
    """Most memory so far in MB, and CPU seconds, of the server's process."""
    proc = pathlib.Path("/proc") / str(server.process.pid)
    most = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmHWM"))
    ticks = (proc / "stat").read_text().rpartition(")")[2].split()
    return int(most.split()[1]) // 1024, (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def test_a_list_of_many_names_becomes_tasks_while_others_are_served(own_server):
    core = clouds.Core(own_server.http)
    product = core.ok("CreateProduct", ProductName=unique("list"), NodeType=0)["ProductKey"]
    names = [f"device-{n:07}" for n in range(NAMES)]
    for start in range(0, NAMES, BATCH):
        register(core, product, names[start : start + BATCH])
    ticket = core.ok("GenerateOTAUploadURL")["Data"]
    clouds.upload(ticket, b"firmware")
    new = {"FirmwareName": unique("fw"), "DestVersion": "2.0", "NeedToVerify": False, "FirmwareUrl": ticket["FirmwareUrl"]}
    package = core.ok("CreateOTAFirmware", ProductKey=product, **new)["Data"]["FirmwareId"]
    slot = core.ok("GenerateDeviceNameListURL")["Data"]
    assert clouds.upload({**slot, "OSSAccessKeyId": slot["AccessKeyId"]}, "\n".join(names).encode()).status_code == 200

    before, waits, done = usage(own_server), [], threading.Event()
    other = threading.Thread(target=ask, args=(own_server, product, waits, done))
    other.start()
    start = time.monotonic()
    try:
        job = {"ProductKey": product, "FirmwareId": package, "TargetSelection": "SPECIFIC", "DnListFileUrl": slot["FileUrl"]}
        request = core.request("CreateOTAStaticUpgradeJob", **job)
        request.set_read_timeout(600)
        made = clouds.json.loads(core.client.do_action_with_exception(request))
        answered = time.monotonic() - start
        page = {"JobId": made["Data"]["JobId"], "CurrentPage": 1, "PageSize": 1}
        wait_for("the tasks", lambda: core.ok("ListOTATaskByJob", **page)["Total"] == NAMES)
    finally:
        done.set()
        other.join()
    took, after = time.monotonic() - start, usage(own_server)
    print(f"\n{NAMES} names: answered after {answered:.1f} s, all tasks after {took:.1f} s; memory at most {before[0]} MB before, "
          f"{after[0]} MB after; {after[1] - before[1]:.1f} s of CPU; {len(waits)} other calls meanwhile, the slowest {max(waits):.3f} s")
    assert waits, "nobody else was served"
    assert after[0] - before[0] < GROWTH_MB
    last = core.ok("ListOTATaskByJob", JobId=page["JobId"], DeviceNames=[names[-1]])
    assert len(last["Data"]["SimpleOTATaskInfo"]) == 1


def register(core, product, names):
    made = core.ok("BatchCheckDeviceNames", ProductKey=product, DeviceName=names)["Data"]["ApplyId"]
    of = {"ProductKey": product, "ApplyId": made}
    status = lambda: core.ok("QueryBatchRegisterDeviceStatus", **of)["Data"]["Status"]
    wait_for("the check", lambda: status() == "CHECK_SUCCESS")
    core.ok("BatchRegisterDeviceWithApplyId", **of)
    wait_for("the batch", lambda: status() == "CREATE_SUCCESS")


def ask(server, product, waits, done):
    """Changes that go through the same writer as the tasks."""
    core, n = clouds.Core(server.http), 0
    while not done.is_set():
        start = time.monotonic()
        core.ok("SaveDeviceProp", ProductKey=product, DeviceName="device-0000000", Props=f'{{"n":"{n}"}}')
        waits.append(time.monotonic() - start)
        n += 1
