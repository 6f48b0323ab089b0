"""bundle: the folder that ships: model, tokenizer, manifest, golden rows, self-test, hashes of it all."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgebert import device, judgement, measured, tokenizer_table, transports
from edgebert.artifact import Artifact
from edgebert.device.bundle import SUMS, golden
from edgebert.device.tokenizer import TABLE
from edgebert.lines import example
from edgebert.manifest import Manifest, Provenance, TokenizerFacts
from edgebert.store import ENTRY, digest_of_files
from edgebert.target import Target
from edgebert.verdict import Gates, Raced

STAYS_AT_HOME = {"__main__.py", "answers.py", "bundle_main.py", "job.py", "replay.py"}  # of no use in a bundle

PACKAGES = {"tflite-runtime": "'numpy<2' 'tflite-runtime>=2.14,<2.15'"}  # to run a bundle; else by its format


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle."""

    name: str
    target: Target
    gates: Gates
    model: Artifact
    files: dict[str, Artifact]
    verified: Path
    provenance: dict[str, Any]
    raced: Raced | None


def run(contents: Contents, out: Path) -> None:
    """Write the bundle to `out`; the last file written holds the hashes of all others."""
    found = measured.read(contents.verified)
    for artifact in contents.files.values():
        (out / artifact.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path, out / artifact.file)
    contents.model.copy_tokenizer(out)
    _write_config(contents, out)
    _limit_tokenizer(contents.model.max_tokens, out / "tokenizer_config.json")
    shutil.copyfile(contents.verified / measured.GOLDEN, out / measured.GOLDEN)
    _write_device_code(out)
    manifest = _manifest(contents, found, _write_table(out))
    text = manifest.model_dump_json(indent=1, by_alias=True)
    (out / "manifest.json").write_text(text + "\n", encoding="utf-8")
    _write_readme(manifest, out)
    sums = digest_of_files(out, ignore=(ENTRY, SUMS))
    (out / SUMS).write_text("".join(f"{sha}  {name}\n" for name, sha in sums.items()), encoding="utf-8")


def _write_table(out: Path) -> TokenizerFacts:
    """The tokenizer's table, from the tokenizer that lies in the bundle."""
    try:
        tokenizer_table.write(out / "tokenizer.json", out)
    except tokenizer_table.NoTable as error:
        return TokenizerFacts(table=None, reason=str(error))
    return TokenizerFacts(table=TABLE)


def _manifest(contents: Contents, found: measured.Measured, tokenizer: TokenizerFacts) -> Manifest:
    target, default = contents.target, next(iter(contents.files))
    checks = judgement.checks(target, contents.gates, found, default, contents.raced)
    return Manifest(
        schema=1,
        name=contents.name,
        task=contents.model.task or "",
        architecture=contents.model.architecture,
        labels=contents.model.labels,
        level=judgement.level(target),
        default_model=default,
        target=transports.facts(target),
        models=found.files,
        latency=found.latency,
        speedup=found.speedup,
        peak_memory_mb=found.peak_memory_mb.get(default),
        decoding={
            "max_tokens": contents.model.max_tokens,
            "buckets": contents.files[default].buckets,
            "threshold": None,
            **found.decoding,
        },
        tokenizer=tokenizer,
        out_of_scope=found.out_of_scope,
        checks=checks,
        provenance=Provenance(
            **_with_runtime(contents, found),
            training=contents.model.training,
            pruning=_pruning(contents, found),
            race=contents.raced.model_dump() if contents.raced else None,
            test_scored=found.test_scored,
            built_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
    )


def _pruning(contents: Contents, found: measured.Measured) -> dict[str, Any]:
    """What was pruned; of a vocabulary also how many test rows it cuts into other pieces."""
    told = dict(contents.model.pruning)
    if "vocabulary" in told:
        told["vocabulary"] = {**told["vocabulary"], "test_rows_cut_otherwise": found.cut_otherwise}
    return told


def _with_runtime(contents: Contents, found: measured.Measured) -> dict[str, Any]:
    """Provenance, which also names the runtime of an environment: it is none of the packages installed here."""
    if not contents.target.runtime.environment:
        return contents.provenance
    versions = {**contents.provenance["versions"], found.ran_in["name"]: found.ran_in["version"]}
    return {**contents.provenance, "versions": versions}


def _write_config(contents: Contents, out: Path) -> None:
    """The model's config; for ONNX with the entry that makes transformers.js take the int8 file."""
    config = json.loads((contents.model.folder / "config.json").read_text(encoding="utf-8"))
    if any(one.form == "onnx" for one in contents.files.values()):
        config["transformers.js_config"] = {"dtype": "q8" if "int8" in contents.files else "fp16"}
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _limit_tokenizer(max_tokens: int, path: Path) -> None:
    """Transformers and transformers.js cut where this target does."""
    config = {**json.loads(path.read_text(encoding="utf-8")), "model_max_length": max_tokens}
    path.write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")


def _write_device_code(out: Path) -> None:
    source = Path(str(device.__file__)).parent
    for path in sorted(source.rglob("*.py")):
        if path.name not in STAYS_AT_HOME:
            copy = out / "device" / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.copyfile(source / "bundle_main.py", out / "__main__.py")


def _write_readme(manifest: Manifest, out: Path) -> None:
    import jinja2

    folder = Path(__file__).parent
    environment = jinja2.Environment(  # noqa: S701  # Markdown, not HTML
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    own = "numpy ai-edge-litert" if manifest.file().format == "tflite" else "numpy onnxruntime"
    asked = example(golden(str(out), 1)[0]["inputs"])
    page = environment.get_template("bundle_readme.md.j2").render(
        m=manifest,
        file=manifest.file(),
        packages=PACKAGES.get(manifest.target.runtime, own),
        asked=json.dumps(asked),
        shell=shlex.quote(asked if isinstance(asked, str) else json.dumps(asked)),
    )
    (out / "README.md").write_text(page, encoding="utf-8")
