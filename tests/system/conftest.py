"""Fixtures of the system tests. `stockade` is a person with the built program, once as root and once as an ordinary user;
`internet` is the miniature internet, one for a test file. See README.md."""
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "internet")]

import litter  # noqa: E402
from internet import Internet  # noqa: E402
from person import ORDINARY_UID, PROGRAM, Person  # noqa: E402


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests need root: they test as root and as an ordinary user")
    if not PROGRAM.exists():
        raise pytest.UsageError(f"{PROGRAM} is not built: run 'make'")


ALLOWED_SKIPS = {line for line in (HERE / "allowed_skips.txt").read_text().splitlines() if not line.startswith("#")}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that is skipped for a reason that nobody listed fails."""
    report = (yield).get_result()
    if call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception) and str(call.excinfo.value) not in ALLOWED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"skipped for a reason that allowed_skips.txt does not list: {call.excinfo.value}"


@pytest.fixture(params=["root", "user"])
def uid(request):
    return 0 if request.param == "root" else ORDINARY_UID


@pytest.fixture
def stockade(uid):
    person = Person(uid)
    yield person
    person.close()


@pytest.fixture(scope="module")
def internet(request):
    """A module may set NAMES (name → address, list of addresses, or list of lists: answered in turn) and SCRIPT."""
    with Internet(names=getattr(request.module, "NAMES", {}), model_script=getattr(request.module, "SCRIPT", [])) as net:
        yield net


@pytest.fixture
def online(uid, internet):
    """A person whose host has the miniature internet."""
    person = Person(uid, internet)
    yield person
    person.close()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    before = litter.look()
    yield
    left = litter.left_since(before)
    assert not left, "left behind: " + ", ".join(left)
