from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgebert import members
from edgebert.errors import InputError, MissingExtraError

LEAVES_A_TRACE = "from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\nNAME = 'mine'\n"


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's own; a module in it leaves a file when it is imported."""
    package = tmp_path / "own_members"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(LEAVES_A_TRACE)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("own_members")]:
        monkeypatch.delitem(sys.modules, name)
    return package / "mine.py"


@pytest.mark.parametrize("family", sorted(members.SINGULAR))
def test_every_listed_member_is_known_and_found(family: str) -> None:
    found = [members.public(family, name) for name in members.names(family)]
    assert found
    for name in found:
        assert members.check(family, name) is None
        assert members.find(family, name).__name__.startswith(f"edgebert.{family}.")


@pytest.mark.parametrize(
    ("family", "name", "fault"),
    [
        ("tasks", "text-clasification", "unknown task 'text-clasification'; did you mean 'text-classification'?"),
        ("tasks", "text_classification", "did you mean 'text-classification'?"),
        ("quantizers", "onnx-dynamic", "unknown quantizer 'onnx-dynamic'; did you mean 'onnx_dynamic'?"),
        ("formats", "zzz", "unknown format 'zzz'; known: onnx, optimum, tflite"),
        ("architectures", "brt", "unknown architecture 'brt'; did you mean 'bert'?"),
        ("tasks", "", "unknown task ''; known: "),
    ],
)
def test_an_unknown_name_is_told_with_its_neighbour(family: str, name: str, fault: str) -> None:
    assert fault in str(members.check(family, name))
    with pytest.raises(InputError, match="unknown"):
        members.find(family, name)


def test_code_of_the_users_own_needs_a_word(own_module: Path) -> None:
    assert "--allow-code" in str(members.check("quantizers", "own_members.mine"))
    with pytest.raises(InputError, match="--allow-code"):
        members.find("quantizers", "own_members.mine")
    assert members.check("quantizers", "own_members.mine", allow_code=True) is None
    assert not own_module.with_suffix(".imported").exists()


def test_code_of_the_users_own_is_run_where_it_is_allowed(own_module: Path) -> None:
    assert members.find("quantizers", "own_members.mine", allow_code=True).NAME == "mine"
    assert own_module.with_suffix(".imported").exists()


@pytest.mark.parametrize("name", ["no_such_package.quantizer", "own_members.absent", "own_members.", ".mine"])
def test_a_dotted_name_that_leads_nowhere_is_the_users_mistake(own_module: Path, name: str) -> None:
    with pytest.raises(InputError, match="quantizer"):
        members.find("quantizers", name, allow_code=True)


def test_an_absent_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError) as caught:
        members.require(("json", "no_such_package"), "quantizer 'x'", "tflite")
    assert "quantizer 'x' (no_such_package)" in str(caught.value)
    assert "edgebert[tflite]" in str(caught.value)


def test_asking_for_a_package_does_not_import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_package.py").write_text(LEAVES_A_TRACE)
    monkeypatch.syspath_prepend(tmp_path)
    members.require(("heavy_package",), "training", "build")
    assert "heavy_package" not in sys.modules
    assert not (tmp_path / "heavy_package.imported").exists()
