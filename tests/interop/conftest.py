"""What nearly every test needs around the agent."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import Certificates, Gateway  # noqa: E402


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def gateway(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with gateway.running():
        yield gateway
