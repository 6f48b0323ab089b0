"""The verbs of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgebert import exits, quiet
from edgebert.errors import InputError, SurroundingsError, is_disk_full

if TYPE_CHECKING:
    from rich.console import Console

quiet.prepare()
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compile BERT-family models into on-device bundles that were checked as shipped.",
)

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")]
Targets = Annotated[list[str] | None, typer.Option("-t", "--target", help="only this target of the recipe's")]
Out = Annotated[Path, typer.Option("-o", "--out", help="where the bundles are written")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=TOML", help="override a key of the recipe")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="run modules of your own that the recipe names")]

SshConfig = Annotated[Path | None, typer.Option("--ssh-config", help="ssh: this file instead of yours")]
InstallRuntime = Annotated[
    bool, typer.Option("--install-runtime", help="ssh: put the runtime there, in a folder of its own")
]


@app.command()
def build(
    recipe: Path,
    target: Targets = None,
    out: Out = Path("build"),
    overrides: Set = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="run every step again")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="fail where only the estimate holds")] = False,
    allow_code: AllowCode = False,
    rerace: Annotated[bool, typer.Option("--rerace", help="measure again what the recipe's lock pins")] = False,
    race_on: Annotated[
        str | None,
        typer.Option("--race-on", metavar="WHERE", help="race on this board: ssh://user@host[:port], or local"),
    ] = None,
    ssh_config: SshConfig = None,
    install_runtime: InstallRuntime = False,
    as_json: AsJson = False,
) -> None:
    """Build, check and write the bundle of each target."""
    from edgebert import pipeline, planning, recipe as recipes
    from edgebert.report import progress, terminal
    from edgebert.training import launching
    from edgebert.transports import Options

    launching.complete()
    loaded = recipes.load(recipe, overrides, allow_code)
    options = Options(ssh_config=ssh_config, install_runtime=install_runtime)
    if race_on is None and (given := options.given()):
        raise InputError(f"{given[0]}: of no use without --race-on")
    plan = planning.plan(loaded, target, pipeline.store_root(out), allow_code, rerace, race_on, options)
    with _progress_console() as console, progress.Bars(console) as bars:
        for warning in plan.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False)
        outcomes = pipeline.run(plan, out, bars, fresh=fresh, strict=strict, rerace=rerace)
    if not outcomes:  # one of several processes that is not the first: it has helped, and says nothing
        raise typer.Exit(0)
    verdicts = {name: outcome.verdict for name, outcome in outcomes.items()}
    passed = all(verdict.passed for verdict in verdicts.values())
    if as_json:
        found = {name: verdict.model_dump() for name, verdict in verdicts.items()}
        _print_json({"recipe": loaded.name, "passed": passed, "targets": found})
    else:
        _console().print(terminal.verdicts(list(outcomes.values()), plan.targets, _program()))
    raise typer.Exit(0 if passed else 1)


@app.command()
def plan(
    recipe: Path,
    target: Targets = None,
    out: Out = Path("build"),
    overrides: Set = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Say what a build would do: its steps, which of them are cached, the gates in force."""
    from edgebert import pipeline, planning, recipe as recipes
    from edgebert.report import terminal
    from edgebert.store import Store

    found = planning.plan(
        recipes.load(recipe, overrides, allow_code), target, pipeline.store_root(out), allow_code
    )
    store = Store(found.store)
    if not as_json:
        _console().print(terminal.plan(found, store))
        return
    steps = [
        {"stage": s.stage, "about": s.about, "key": s.key, "cached": store.find(s.stage, s.key) is not None}
        for s in found.steps()
    ]
    gates = {n: found.recipe.gates_for(t).model_dump(exclude_none=True) for n, t in found.targets.items()}
    distil = found.distil.model_dump(mode="json", exclude_none=True) if found.distil else None
    _print_json(
        {
            "recipe": found.recipe.name,
            "steps": steps,
            "quantizers": found.quantizers,
            "warnings": found.warnings,
            "gates": gates,
            "distil": distil,
        }
    )


@app.command()
def show(what: Annotated[str, typer.Argument(metavar="BUNDLE|TARGET")], as_json: AsJson = False) -> None:
    """Show a bundle's scores, checks and provenance, or a target's resolved profile."""
    from edgebert import target as targets

    if Path(what).is_dir():
        from edgebert import opening, proof
        from edgebert.report import terminal

        manifest, digest = opening.read_manifest(Path(what)), opening.digest(Path(what))
        proofs = proof.read(Path(what), manifest.target.name, digest)
        merged = proof.merge(manifest, proofs)
        if as_json:
            found = {"digest": digest, "level": merged.level, "manifest": merged.model_dump(by_alias=True)}
            _print_json({**found, "proofs": [one.model_dump(by_alias=True) for one in proofs]})
        else:
            _console().print(terminal.bundle(merged, digest, Path(what), proofs))
        return
    if what not in targets.names() and not what.endswith(".toml") and "/" in what:
        raise InputError(f"{what}: no bundle here, and no such target profile")
    profile = targets.load(what)
    if as_json:
        _print_json(profile.model_dump(mode="json"))
    else:
        _console().print_json(profile.model_dump_json())


@app.command()
def predict(
    bundle: Path,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="texts, or - for lines of standard input")],
    model: Annotated[str, typer.Option(help="id of a model file in the bundle")] = "",
    as_json: AsJson = False,
) -> None:
    """Answer texts with a bundle: lines, or JSON objects with the task's columns."""
    from edgebert import lines
    from edgebert.opening import open_bundle
    from edgebert.report import terminal

    rows = lines.rows(texts)
    if not rows:
        raise InputError("no text was given")
    opened = open_bundle(bundle, model)
    answers = opened.predict(rows)
    if as_json:
        _print_json({"bundle": opened.manifest.name, "task": opened.manifest.task, "predictions": answers})
    else:
        _console().print(terminal.predictions(answers))


@app.command("export-client")
def export_client(
    what: Annotated[list[str], typer.Argument(metavar="BUNDLE... CLIENT", help="bundles, then the client's name")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder to write the client to")],
    as_json: AsJson = False,
) -> None:
    """Write what an app developer copies: a client that tokenizes, runs and decodes as this machine does."""
    from edgebert import exporting
    from edgebert.report import listing

    *bundles, client = what
    found = exporting.export([Path(one) for one in bundles], client, out)
    _print_json(found) if as_json else _console().print(listing.exported(found))


@app.command()
def answer(
    bundle: Path,
    faq: Annotated[Path, typer.Argument(help="data file with the columns question and answer, or text")],
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="texts, or - for lines of standard input")
    ],
    top: Annotated[int, typer.Option(min=1, help="entries to tell for each question")] = 3,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=-1, max=1, help="tell no entry that fits less")
    ] = None,
    model: Annotated[str, typer.Option(help="id of a model file in the bundle")] = "",
    as_json: AsJson = False,
) -> None:
    """Find the entries of your FAQ that answer questions, with a feature-extraction bundle.

    The FAQ is read once; its vectors are kept in your cache until its texts or the bundle change.
    """
    from edgebert import lines
    from edgebert.opening import open_bundle
    from edgebert.report import answers, progress

    rows = lines.rows(questions)
    if not rows:
        raise InputError("no question was given")
    opened = open_bundle(bundle, model)
    with _progress_console() as console, progress.counting(console, f"reading {faq.name}") as tell:
        found = opened.answer(faq, rows, top, min_score, tell)
    if as_json:
        _print_json({"bundle": opened.manifest.name, "answers": found})
    else:
        _console().print(answers.matches(found))


@app.command()
def verify(
    bundle: Path,
    data: Annotated[Path, typer.Option("--data", help="rows to score, with the columns of the recipe's data")],
    reference: Annotated[
        Path | None, typer.Option("--reference", help="the trained checkpoint to compare with")
    ] = None,
    model: Annotated[str, typer.Option(help="id of a model file in the bundle")] = "",
    by: Annotated[
        str | None, typer.Option("--by", metavar="COLUMN", help="tell the rows that are right by this column, too")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a bundle's shipped file on a data file of yours."""
    from edgebert import rescoring
    from edgebert.report import progress, terminal

    with _progress_console() as console, progress.counting(console, "scoring") as tell:
        found = rescoring.verify(bundle, data, reference, model, tell, by)
    if as_json:
        _print_json(found)
    else:
        _console().print(terminal.rescored(found))
    raise typer.Exit(0 if found["passed"] else 1)


@app.command()
def validate(
    bundle: Path,
    on: Annotated[
        str, typer.Option("--on", metavar="WHERE", help="local, qemu[:CPU], ssh://user@host[:port], adb[:serial]")
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="rows to answer there beside the golden ones, and to score")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="the first rows of --data, or of the golden ones")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="the fp32 file or checkpoint to compare speed with")
    ] = None,
    model: Annotated[str, typer.Option(help="id of a model file in the bundle")] = "",
    digest: Annotated[str | None, typer.Option(help="refuse the bundle unless this is its digest")] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="threads of the runtime")] = 1,
    sustained: Annotated[
        float | None,
        typer.Option("--sustained", min=0, help="seconds without a pause after the short run (60 on a board)"),
    ] = None,
    limit: Annotated[float, typer.Option("--limit", min=1, help="seconds the run may take")] = 1800,
    runner: Annotated[Path | None, typer.Option("--runner", help="adb: the benchmark binary to push")] = None,
    ssh_config: SshConfig = None,
    install_runtime: InstallRuntime = False,
    clean: Annotated[bool, typer.Option("--clean", help="ssh, adb: remove what was put there")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a bundle on a board, an emulated board or this machine, and keep the proof beside it."""
    from edgebert import validation
    from edgebert.report import progress, proofs
    from edgebert.transports import Options

    options = Options(runner=runner, ssh_config=ssh_config, install_runtime=install_runtime, clean=clean)
    request = validation.Request(
        folder=bundle,
        on=on,
        model=model,
        data=data,
        rows=rows,
        reference=reference,
        digest=digest,
        threads=threads,
        sustained_s=sustained,
        limit_s=limit,
        options=options,
    )
    with _progress_console() as console, progress.counting(console, f"validating on {on}") as tell:
        found, path = validation.run(request, tell)
    if as_json:
        _print_json({"proof": str(path), **found.model_dump(by_alias=True)})
    else:
        _console().print(proofs.found_there(found, path))
    if not found.valid:
        raise SurroundingsError(
            f"the run judges nothing: {'; '.join(found.slowed)}; cool the board, check its power supply, set its "
            "governor to performance, and run it again"
        )
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def targets(as_json: AsJson = False) -> None:
    """List the targets that can be built for."""
    from edgebert import target

    found = [target.load(name) for name in target.names()]
    if as_json:
        _print_json([one.model_dump(mode="json") for one in found])
        return
    from edgebert.report import listing

    _console().print(listing.targets(found))


@app.command()
def init(
    train: Annotated[Path, typer.Argument(metavar="TRAINFILE", help="JSONL, CSV, TSV or Parquet")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="the recipe to write")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented recipe after looking at the columns of your data file."""
    from edgebert import drafting

    path = out or Path(f"{train.stem}.toml")
    if path.exists():
        raise InputError(f"{path}: is there already; choose another name with -o")
    if not path.parent.is_dir():
        raise InputError(f"-o {path}: cannot be written to: there is no folder {path.parent}")
    try:
        path.write_text(drafting.draft(train, path), encoding="utf-8")
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(f"-o {path}: cannot be written to: {error.strerror}") from None
    if as_json:
        _print_json({"recipe": str(path)})
    else:
        _console().print(f"wrote {path}; read it, then: edgebert build {path}", highlight=False)


@app.command()
def pretrain(
    recipe: Path,
    out: Annotated[Path, typer.Option("-o", "--out", help="where the model folder is written")] = Path(
        "pretrained"
    ),
    overrides: Set = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="start over, whatever is there")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on raw text, from scratch or from a checkpoint; in processes of `accelerate launch`."""
    from edgebert.pretraining import outcome, project, recipe as recipes, run
    from edgebert.report import pretrained, progress
    from edgebert.training import launching

    launching.complete()
    checked = project.read(recipes.load(recipe, overrides))
    with _progress_console() as console, progress.Bars(console) as bars:
        found = run.run(checked, out, bars, fresh=fresh)
    if found is None:
        return
    told = outcome.short(found, out / checked.recipe.name)
    _print_json(told) if as_json else _console().print(pretrained.summary(told))


@app.command()
def doctor(
    install: Annotated[str | None, typer.Option(help="set up a tool that needs an environment of its own")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is installed here, and what each missing part would be for."""
    from edgebert import environments
    from edgebert.report import listing

    if install is not None:
        place = environments.install(install)
        found: dict[str, Any] = {"installed": install, "place": str(place)}
        _print_json(found) if as_json else _console().print(f"{install}: {place}", highlight=False)
        return
    report = environments.examine()
    _print_json(report) if as_json else _console().print(listing.examination(report))


def main() -> None:
    """Run the command line."""
    exits.run(app)


def _program() -> str:
    """How the user called EdgeBERT: by name where the shell finds it, else by path."""
    called = Path(sys.argv[0])
    found = shutil.which("edgebert")
    if called.stem != "edgebert":
        return "python -m edgebert"
    return "edgebert" if found is not None and Path(found).resolve() == called.resolve() else sys.argv[0]


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


@contextlib.contextmanager
def _progress_console() -> Iterator[Console]:
    """Standard error as it is now: steps send what libraries print there to their logs."""
    from rich.console import Console

    with os.fdopen(os.dup(2), "w", encoding="utf-8") as stream:
        yield Console(file=stream, force_terminal=None)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")
