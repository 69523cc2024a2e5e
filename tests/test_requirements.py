"""requirements.lock has all packages of requirements.txt, with hashes."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from commands.write_deps import ROOT

BLOCKS = re.split(r"^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)[1:]
LOCKED = [(Requirement(block.partition(" \\\n")[0].strip()), block) for block in BLOCKS]
WANTED = [
    Requirement(line.partition("#")[0].strip())
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]


def pinned(requirement: Requirement) -> str:
    return next(iter(requirement.specifier)).version


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_a_package_is_locked_with_a_version_that_is_wanted(wanted: Requirement) -> None:
    found = [locked for locked, _ in LOCKED if canonicalize_name(locked.name) == canonicalize_name(wanted.name)]
    assert found, "run make lock"
    assert all(wanted.specifier.contains(pinned(locked)) for locked in found)


def test_every_locked_package_has_one_version_and_hashes() -> None:
    for locked, block in LOCKED:
        assert [item.operator for item in locked.specifier] == ["=="]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), locked
