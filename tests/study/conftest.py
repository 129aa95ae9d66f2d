"""A finished study, made once for all tests of this folder."""

import pytest

from jaxnets.study import run
from tests.study.moons import QUESTION


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "moons"
    told = []
    report = run(QUESTION, out, progress=False, tell=told.append)
    return out, report, told
