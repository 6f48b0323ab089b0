"""Every member of an open set is a module that its Protocol describes: mypy checks the lists, the tests their
completeness."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import cast

import pytest

from edgebert import members, tables
from edgebert.architectures import Architecture, albert, bert, distilbert, electra, mobilebert
from edgebert.clients import Client, android, cpp, mediapipe, web
from edgebert.formats import Format, onnx, optimum, tflite
from edgebert.pruners import Pruner, vocabulary
from edgebert.quantizers import (
    Quantizer,
    litert_dynamic,
    litert_fp16,
    litert_fp32,
    litert_static,
    litert_weight_only,
    neural_compressor,
    onnx_dynamic,
    onnx_fp16,
    onnx_qnn,
    onnx_static,
    onnx_tensorrt,
)
from edgebert.tasks import (
    Task,
    extractive_summarization,
    feature_extraction,
    fill_mask,
    question_answering,
    regression,
    sentence_pairs,
    text_classification,
    token_classification,
)
from edgebert.transports import Transport, adb, local, qemu, ssh
from tests.conftest import ROOT

ARCHITECTURES: list[Architecture] = [albert, bert, distilbert, electra, mobilebert]
TASKS: list[Task] = [
    extractive_summarization,
    feature_extraction,
    fill_mask,
    question_answering,
    regression,
    sentence_pairs,
    text_classification,
    token_classification,
]
QUANTIZERS: list[Quantizer] = [
    litert_dynamic,
    litert_fp16,
    litert_fp32,
    litert_static,
    litert_weight_only,
    neural_compressor,
    onnx_dynamic,
    onnx_fp16,
    onnx_qnn,
    onnx_static,
    onnx_tensorrt,
]
FORMATS: list[Format] = [onnx, optimum, tflite]
TRANSPORTS: list[Transport] = [adb, local, qemu, ssh]
CLIENTS: list[Client] = [android, cpp, mediapipe, web]
PRUNERS: list[Pruner] = [vocabulary]
LISTED: dict[str, Sequence[object]] = {
    "architectures": ARCHITECTURES,
    "tasks": TASKS,
    "quantizers": QUANTIZERS,
    "formats": FORMATS,
    "transports": TRANSPORTS,
    "clients": CLIENTS,
    "pruners": PRUNERS,
}


def modules(family: str) -> list[ModuleType]:
    return [cast(ModuleType, member) for member in LISTED[family]]


def test_every_open_set_has_its_list() -> None:
    assert set(LISTED) == set(members.SINGULAR)


@pytest.mark.parametrize("family", LISTED)
def test_the_list_names_every_member(family: str) -> None:
    assert [module.__name__.rpartition(".")[2] for module in modules(family)] == members.names(family)


@pytest.mark.parametrize("family", ["architectures", "tasks", "formats", "transports"])
def test_a_member_calls_itself_what_a_recipe_calls_it(family: str) -> None:
    for module in modules(family):
        assert module.NAME == members.public(family, module.__name__.rpartition(".")[2])
        assert members.find(family, module.NAME) is module


def test_no_model_type_belongs_to_two_architectures() -> None:
    claimed = [model_type for member in ARCHITECTURES for model_type in member.MODEL_TYPES]
    assert len(claimed) == len(set(claimed))


def test_quantizers_take_and_give_formats_that_exist() -> None:
    for member in QUANTIZERS:
        assert {member.TAKES, member.GIVES} <= set(members.names("formats"))


def packages(requirements: list[str]) -> set[str]:
    found = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in requirements}
    return found | {name.removesuffix("_pt") for name in found}  # neural-compressor-pt is imported without its end


def test_every_member_names_the_part_of_the_install_that_brings_its_packages() -> None:
    project = tables.read(ROOT / "pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    always = packages(project["dependencies"]) | packages(extras["build"])
    converters: list[Quantizer | Format] = [*QUANTIZERS, *FORMATS]
    for member in converters:
        assert set(member.NEEDS) <= always | packages(extras[member.EXTRA])


@pytest.mark.parametrize("family", LISTED)
def test_every_member_says_what_it_is(family: str) -> None:
    for module in modules(family):
        assert module.__doc__ and module.__doc__.strip()
