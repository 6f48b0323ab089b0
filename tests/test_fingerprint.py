from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgebert
from edgebert import fingerprint

PACKAGE = Path(edgebert.__file__).parent
PRINT = "import sys; from edgebert import fingerprint; print(fingerprint.of_modules(sys.argv[1:]))"


def digest(folder: Path, *modules: str) -> str:
    """The fingerprint in a fresh process: sources are read once a process."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", PRINT, *modules]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package of the same name with the real fingerprint module and little else."""
    (tmp_path / "edgebert" / "sub").mkdir(parents=True)
    shutil.copy(PACKAGE / "fingerprint.py", tmp_path / "edgebert")
    for name in ("__init__.py", "sub/__init__.py", "far.py"):
        (tmp_path / "edgebert" / name).write_text("thing = 1\n")
    (tmp_path / "edgebert" / "middle.py").write_text("from edgebert import far\n")
    return tmp_path


def changes_with_far(folder: Path, source: str, module: str = "near") -> bool:
    """Whether the fingerprint of a module with this source follows a change of `edgebert.far`."""
    (folder / "edgebert" / f"{module.replace('.', '/')}.py").write_text(source)
    before = digest(folder, f"edgebert.{module}")
    with (folder / "edgebert" / "far.py").open("a") as file:
        file.write("thing = 2\n")
    return digest(folder, f"edgebert.{module}") != before


def test_a_changed_source_changes_the_fingerprint(small: Path) -> None:
    before = digest(small, "edgebert.far"), digest(small, "edgebert.sub")
    (small / "edgebert" / "far.py").write_text("thing = 1\n# a comment is a change too\n")
    assert digest(small, "edgebert.far") != before[0]
    assert digest(small, "edgebert.sub") == before[1]


def test_the_same_sources_give_the_same_fingerprint_in_any_order_and_place(small: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(small / "edgebert", moved / "edgebert")
    assert digest(small, "edgebert.far", "edgebert.sub") == digest(moved, "edgebert.sub", "edgebert.far")


@pytest.mark.parametrize(
    "source",
    [
        "import edgebert.far\n",
        "from edgebert import far as other\n",
        "from edgebert.far import thing\n",
        "from . import far\n",
        "from .far import thing\n",
        "def later():\n    from edgebert.far import thing\n",
        "try:\n    import edgebert.far\nexcept ImportError:\n    pass\n",
        "from edgebert import middle\n",
        "def later():\n    import edgebert.middle\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    from edgebert import far\n",
    ],
)
def test_what_a_module_imports_counts_near_or_far(small: Path, source: str) -> None:
    assert changes_with_far(small, source)


@pytest.mark.parametrize("source", ["from .. import far\n", "from ..far import thing\n"])
def test_what_a_module_imports_from_the_folder_above_counts(small: Path, source: str) -> None:
    assert changes_with_far(small, source, "sub.near")


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from edgebert import far\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import edgebert.middle\nimport json\n",
        "text = 'from edgebert import far'\n",
        "from edgebert import sub\n",
    ],
)
def test_what_never_runs_or_is_not_imported_does_not_count(small: Path, source: str) -> None:
    assert not changes_with_far(small, source)


def test_a_module_of_the_users_own_counts(small: Path) -> None:
    (small / "mine.py").write_text("from edgebert import far\n")
    before = digest(small, "mine")
    (small / "mine.py").write_text("from edgebert import far  # changed\n")
    changed = digest(small, "mine")
    (small / "edgebert" / "far.py").write_text("thing = 3\n")
    assert len({before, changed, digest(small, "mine")}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "module", "follows"),
    [
        ("cli.py", "edgebert.stages.finetune", False),
        ("stages/export.py", "edgebert.stages.finetune", False),
        ("tokenization.py", "edgebert.stages.finetune", True),
        ("intervals.py", "edgebert.tasks.text_classification", True),
    ],
)
def test_a_step_is_redone_for_what_it_uses_and_for_nothing_else(
    tmp_path: Path, changed: str, module: str, follows: bool
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "edgebert", ignore=shutil.ignore_patterns("__pycache__"))
    before = digest(tmp_path, module)
    with (tmp_path / "edgebert" / changed).open("a") as file:
        file.write("\n# changed\n")
    assert (digest(tmp_path, module) != before) is follows


def test_versions_are_those_installed_and_leave_out_what_is_absent() -> None:
    found = fingerprint.versions(["numpy", "no_such_package", "pydantic"])
    assert found == {name: importlib.metadata.version(name) for name in ("numpy", "pydantic")}


def test_a_version_is_found_under_the_distributions_own_name() -> None:
    pytest.importorskip("huggingface_hub")
    wanted = importlib.metadata.version("huggingface-hub")
    assert fingerprint.versions(["huggingface_hub"]) == {"huggingface_hub": wanted}
