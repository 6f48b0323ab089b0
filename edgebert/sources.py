"""Where a model comes from: a folder, a folder inside an installed package, or a Hub id."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

from edgebert import members
from edgebert.errors import InputError, SurroundingsError, nearest
from edgebert.store import digest_of

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_WANTED = ("*.safetensors", "*.json", "vocab.txt", "spiece.model", "spm.model")
CARD = "README.md"  # names the licence; no part of what makes the model
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def locate(source: str, revision: str | None, beside: Path, key: str = "model.source") -> Path:
    """The folder of a model source; a Hub id is downloaded to the Hub's cache. `key` is what the recipe calls it.

    Raises InputError where the source leads nowhere, SurroundingsError where the Hub cannot be reached.
    """
    if source.startswith("package:"):
        return _in_package(source, key)
    folder = beside / Path(source).expanduser()
    if folder.is_dir():
        return folder
    if _HUB_ID.match(source) and not source.startswith(("./", "../")):
        return _on_hub(source, revision, folder, key)
    raise InputError(f"{key} = '{source}': no folder at {folder}, and it is not a Hub id (OWNER/NAME)")


def fingerprint(folder: Path) -> dict[str, str]:
    """sha256 of the files that make the model, by name."""
    files = {path for pattern in _WANTED for path in folder.glob(pattern)}
    try:
        return {path.name: digest_of(path) for path in sorted(files)}
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def check(folder: Path, sha256: str | None, architectures: dict[str, tuple[str, ...]]) -> str:
    """The architecture of the model in a folder, after looking that it can be loaded safely.

    `architectures` maps each architecture's name to the `model_type`s it serves. Raises InputError,
    SurroundingsError.
    """
    try:
        return _check(folder, sha256, architectures)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read: {error.strerror}") from None


def weights_digest(folder: Path) -> str:
    """sha256 of the weights: of the file, or of the list of hashes of index and shards."""
    if (folder / WEIGHTS).is_file():
        return digest_of(folder / WEIGHTS)
    named = [INDEX, *shards(folder)]
    return hashlib.sha256("".join(f"{digest_of(folder / name)}  {name}\n" for name in named).encode()).hexdigest()


def shards(folder: Path) -> list[str]:
    """Names of the files that hold the weights of a big model. Raises InputError for a faulty index."""
    index = folder / INDEX
    try:
        names = sorted(
            {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{index}: not an index of weights (no 'weight_map')") from None
    for name in names:
        if "/" in name or not (folder / name).is_file():
            raise InputError(f"{index}: names '{name}', which is not beside it")
    return names


def labels(folder: Path) -> list[str] | None:
    """The labels that the model of a checked folder was trained on, or None where its config does not say."""
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label")
    return [str(label) for label in found.values()] if isinstance(found, dict) else None


def _check(folder: Path, sha256: str | None, architectures: dict[str, tuple[str, ...]]) -> str:
    weights = [path for name in (WEIGHTS, INDEX) if (path := folder / name).is_file()]
    if not weights:
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise InputError(
                f"{folder}: holds {', '.join(pickles)} and no {WEIGHTS}; such files can run code when read, "
                "so only safetensors are; convert them where you trust them: AutoModel.from_pretrained(...)"
                ".save_pretrained(..., safe_serialization=True)"
            )
        raise InputError(f"{folder}: a model folder without weights (no {WEIGHTS})")
    if sha256 is not None and (found := weights_digest(folder)) != sha256:
        raise InputError(
            f"{weights[0]}: its sha256 is {found}, and the recipe pins model.sha256 = {sha256}; "
            "these are other weights: mend the source, or the pin if you mean them"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no config.json") from None
    except ValueError as error:
        raise InputError(f"{folder}/config.json: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{folder}/config.json: not a JSON object")
    check_tokenizer(folder)
    kind = str(config.get("model_type"))
    for name, kinds in architectures.items():
        if kind in kinds:
            return name
    known = sorted(kind for kinds in architectures.values() for kind in kinds)
    raise InputError(f"{folder}/config.json: model_type = '{kind}' is not supported; {nearest(kind, known)}")


def positions(folder: Path) -> int | None:
    """How many tokens the model of a checked folder can read, or None where its config does not say."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found = config.get("max_position_embeddings")
    return found if isinstance(found, int) else None


def check_tokenizer(folder: Path) -> None:
    """Raise InputError where tokenizer.json is there and is not one; its absence is told when it is loaded.

    Raises SurroundingsError where one must be made of a SentencePiece model and cannot be here.
    """
    path, pieces = folder / "tokenizer.json", folder / "spiece.model"
    if not path.is_file():
        if pieces.is_file() and importlib.util.find_spec("sentencepiece") is None:
            raise SurroundingsError(
                f"{pieces}: reading it, as no tokenizer.json is beside it, needs sentencepiece, which is not "
                "installed here; install it: pip install sentencepiece"
            )
        return
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        sound = isinstance(tokenizer["model"].get("vocab"), (dict, list))
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise InputError(f"{path}: not a tokenizer file (no model with a vocabulary in it)")


def licence(folder: Path) -> str | None:
    """The licence that a model folder's card names in its front matter, or None."""
    try:
        card = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^license:\s*(\S+)\s*$", card.partition("\n---")[0] if card.startswith("---") else "", re.M)
    return found.group(1) if found else None


def _in_package(source: str, key: str) -> Path:
    name, _, inside = source.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(name) if re.fullmatch(r"\w+", name) else None
    if spec is None or not spec.submodule_search_locations:
        hint = f"install it: pip install {name.replace('_', '-')}"
        raise InputError(f"{key} = '{source}': no package '{name}' is installed here; {hint}")
    folder = Path(spec.submodule_search_locations[0]) / inside
    if {"..", "/"} & set(Path(inside).parts) or not folder.is_dir():
        raise InputError(f"{key} = '{source}': package '{name}' has no folder '{inside}'")
    return folder


def _on_hub(source: str, revision: str | None, folder: Path, key: str) -> Path:
    if revision is None:
        raise InputError(
            f"{key} = '{source}': no folder at {folder}; as a Hub id it needs {key.rpartition('.')[0]}.revision "
            "(a commit, so that every build reads the same weights)"
        )
    members.require(("huggingface_hub",), "loading a model from the Hub", "build")
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=[*_WANTED, CARD]))
    except LocalEntryNotFoundError as error:
        raise SurroundingsError(f"{key} = '{source}': the Hub could not be reached: {error}") from None
    except HfHubHTTPError as error:
        raise InputError(f"{key} = '{source}', revision = '{revision}': {error}") from None
    except HTTPError as error:  # the connection broke off in the middle of a file
        raise SurroundingsError(f"{key} = '{source}': {error}; run the same command again") from None
