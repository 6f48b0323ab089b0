"""What a training came to: the curve, the held-out figures, and the few that people ask for first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert.intervals import wilson
from edgebert.pretraining.project import Project

FILE = "pretraining.json"
LONG = ("curve", "recipe", "files")  # what only the file tells


def first_step(steps: int) -> int:
    """The step after a tenth of the training, whose held-out perplexity is the `first` one."""
    return max(1, round(steps / 10))


def of(project: Project, trainer: Any, new: list[str], text: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a finished training as one JSON-able document.

    perplexity: of the held-out masked pieces after a tenth of the training, and at its end. sop_accuracy,
    nsp_accuracy: at its end, with Wilson's interval; null where that was not the objective.
    """
    recipe, state, rows = project.recipe, trainer.state, text["valid"]["rows"]
    held_out = [
        _measured(one, recipe.objective.sentence, rows) for one in state.log_history if "perplexity" in one
    ]
    at = {one["step"]: one for one in held_out}
    last = at[state.max_steps]
    return {
        "name": recipe.name,
        "architecture": project.architecture.NAME,
        "parameters": trainer.model.model.num_parameters(),
        "from": "source" if project.source else "teacher" if project.teacher else "random weights",
        "new_weights": new,
        "steps": state.max_steps,
        "processes": trainer.accelerator.num_processes,
        "device": trainer.args.device.type,
        "precision": "bf16" if trainer.args.bf16 else "fp32",
        "text": dict(text),
        "perplexity": {"first": at[first_step(state.max_steps)]["perplexity"], "last": last["perplexity"]},
        "sop_accuracy": last.get("sop_accuracy"),
        "nsp_accuracy": last.get("nsp_accuracy"),
        "held_out": held_out,
        "curve": [
            {name: one[name] for name in ("step", "loss", "learning_rate")}
            for one in state.log_history
            if "loss" in one
        ],
    }


def _measured(entry: Mapping[str, Any], sentence: str, rows: int) -> dict[str, Any]:
    found = {name: entry[name] for name in ("step", "perplexity", "masked_accuracy")}
    if "pair_hits" in entry:
        hits = round(entry["pair_hits"])
        accuracy = {"value": hits / rows, "rows": rows, "ci95": list(wilson(hits, rows))}
        found |= {"pair_loss": entry["pair_loss"], f"{sentence}_accuracy": accuracy}
    return found


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Keep the document beside the model."""
    (folder / FILE).write_text(json.dumps(found, indent=1), encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The document of a finished model folder."""
    found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return found


def short(found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a command prints: the document without its long parts, where it is, and where the model is."""
    told = {name: value for name, value in found.items() if name not in LONG}
    return {"model": str(folder), "log": str(folder / FILE), **told}
