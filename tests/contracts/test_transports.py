"""Every transport judges an address without starting anything, and says honestly what it can use and tell."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from edgebert import cli, members, opening
from edgebert.errors import InputError
from edgebert.manifest import Manifest
from edgebert.transports import Options, Transport, check_options
from tests.conftest import Built

NAMES = members.names("transports")
BY_NAME = pytest.mark.parametrize("name", NAMES)
ADDRESSES = [
    "", " ", "x", ":", "::", "//", "///", "//@", "//user@", "//user@host:", "//user@host:port", "//user@host:9",
    "//user@host:99999", "//host/path", "//-oProxyCommand=x", "-oProxyCommand=x", "//a b", "a\nb", "\0", "é\u202e",
    "../..", "/etc/passwd", "; touch x", "$(touch x)", "`x`", "*", "x" * 5000,
]  # fmt: skip


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    for module, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn"), (socket.socket, "connect")):
        monkeypatch.setattr(module, name, refuse)


@pytest.fixture(params=["raspberry-pi-5", "android-cpu", "jetson-orin-nano"])
def manifest(request: pytest.FixtureRequest, built: Built) -> Manifest:
    return opening.read_manifest(built.bundle(request.param))


@BY_NAME
@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
def test_odd_addresses_are_answered_and_nothing_is_started(
    name: str, address: str, manifest: Manifest, nothing_starts: None
) -> None:
    fault = members.find("transports", name).fault(address, manifest.target)
    assert fault is None or (isinstance(fault, str) and fault.strip() and not fault.endswith("\n"))


@BY_NAME
@pytest.mark.parametrize("address", ["-oProxyCommand=x", "a\nb", "; touch x", "/etc/passwd"])
def test_an_address_that_no_place_has_is_refused(name: str, address: str, manifest: Manifest) -> None:
    assert members.find("transports", name).fault(address, manifest.target) is not None


@BY_NAME
def test_it_calls_itself_by_the_name_of_its_file(name: str) -> None:
    module = members.find("transports", name)
    assert module.NAME == name == module.__name__.rpartition(".")[2]
    assert isinstance(module.TIMED, bool)
    assert isinstance(module.SUSTAINED, bool)
    assert module.TIMED or not module.SUSTAINED


def given(name: str) -> Options:
    """Options of which this one alone was given."""
    values: dict[str, Any] = {name: Path("x") if name in ("runner", "ssh_config") else True}
    return Options(**values)


@BY_NAME
def test_it_uses_options_that_exist_and_others_are_refused(name: str) -> None:
    module = members.find("transports", name)
    known = [field.name for field in fields(Options)]
    assert isinstance(module.USES, tuple)
    assert set(module.USES) <= set(known)
    check_options(Options(), module)
    for option in known:
        if option in module.USES:
            check_options(given(option), module)
        else:
            with pytest.raises(InputError, match=f"--{option.replace('_', '-')}: of no use with --on {name}"):
                check_options(given(option), module)


def test_the_help_of_an_option_names_those_it_is_of_use_to() -> None:
    hints = get_type_hints(cli.validate, include_extras=True)
    for field in fields(Options):
        [option] = hints[field.name].__metadata__
        named = option.help.partition(":")[0].split(", ")
        used = [name for name in NAMES if field.name in members.find("transports", name).USES]
        assert sorted(set(named) & set(NAMES)) == used


@BY_NAME
def test_its_functions_take_what_the_protocol_says(name: str) -> None:
    module: ModuleType = members.find("transports", name)
    for function in ("fault", "run"):
        wanted = list(inspect.signature(getattr(Transport, function)).parameters)[1:]
        assert list(inspect.signature(getattr(module, function)).parameters) == wanted


@BY_NAME
def test_it_says_what_it_is(name: str) -> None:
    described = members.find("transports", name).__doc__
    assert described is not None
    assert described.startswith(f"{name}: ")
