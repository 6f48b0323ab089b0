"""Models from a folder, from an installed package, and from a Hub that a loopback server plays."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from edgebert import sources
from edgebert.errors import InputError
from tests import toy

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: mit\n---\n# Toy\n"


@pytest.fixture
def model(tmp_path: Path, toy_model: Path) -> Path:
    """A copy of the toy model that a test may change."""
    return shutil.copytree(toy_model, tmp_path / "models" / "toy")


@dataclass
class Hub:
    """A server that answers as the Hub does from `files` by repository, and keeps the paths it was `asked` for."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    torn: str = ""  # the connection breaks in the middle of this file
    server: ThreadingHTTPServer | None = None

    def environment(self, home: Path) -> dict[str, str]:
        """What makes a process ask here, with a cache of its own."""
        assert self.server is not None
        return {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        kind, _, rest = path.removeprefix("/api").lstrip("/").partition("/")
        if kind not in ("models", "datasets"):
            kind, rest = "models", path.lstrip("/")
        owner, name, verb, revision, *inside = [*rest.partition("?")[0].split("/"), "", ""]
        if (found := self.files.get(f"{kind}/{owner}/{name}")) is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if revision not in (COMMIT, "main"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if verb == "revision":
            return 200, {}, json.dumps({"id": f"{owner}/{name}", "sha": COMMIT, "siblings": []}).encode()
        if verb == "tree":
            listed = [{"type": "file", "oid": _oid(b), "size": len(b), "path": n} for n, b in found.items()]
            return 200, {}, json.dumps(listed).encode()
        body = found.get("/".join(inside).rstrip("/"))
        if body is None:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""
        return 200, {"ETag": f'"{_oid(body)}"', "X-Repo-Commit": COMMIT}, body


def _oid(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@pytest.fixture
def hub(toy_model: Path) -> Iterator[Hub]:
    """A Hub that holds the toy model, with a card and a pickle beside it, and its rows."""
    files = {path.name: path.read_bytes() for path in toy_model.iterdir()}
    rows = {f"{split}.jsonl": _lines(toy.rows(60, seed)) for seed, split in enumerate(("train", "dev", "test"))}
    found = Hub({"models/people/toy": files, "datasets/people/rows": rows})
    files |= {"README.md": CARD.encode(), "pytorch_model.bin": b"a pickle"}

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, headers, body = found.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                torn = bool(found.torn) and self.path.endswith(found.torn)
                self.wfile.write(body[: len(body) // 2] if torn else body)
                self.close_connection = torn

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as found.server:
        Thread(target=found.server.serve_forever, daemon=True).start()
        yield found
        found.server.shutdown()


def _lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _recipe(folder: Path, source: str = "people/toy", revision: str = COMMIT, test: str = "test.jsonl") -> Path:
    path = folder / "hub.toml"
    text = toy.RECIPE.format(targets='["raspberry-pi-5"]').partition("[data.out_of_scope]")[0]
    text = text.replace('source = "model"', f'source = "{source}"\nrevision = "{revision}"')
    for split in ("train", "dev", "test"):
        file = test if split == "test" else f"{split}.jsonl"
        text = text.replace(f'{split} = "{split}.jsonl"', f'{split} = "hub:people/rows/{file}"')
    path.write_text(text + 'revision = "main"\n[finetune]\nmax_tokens = 32\n', encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_model_and_data_are_read_from_a_hub_and_later_from_its_cache(
    tmp_path: Path, hub: Hub, run_edgebert: Run, revision: str
) -> None:
    environment = hub.environment(tmp_path / "home")
    recipe = _recipe(tmp_path, revision=revision)
    first = run_edgebert("plan", recipe, "--json", **environment)
    assert first.returncode == 0, first.stderr
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"model.safetensors", "config.json", "tokenizer.json", "train.jsonl", "test.jsonl"} <= fetched
    assert "pytorch_model.bin" not in fetched
    again = run_edgebert("plan", recipe, "--json", **{**environment, "HF_HUB_OFFLINE": "1"})
    assert json.loads(again.stdout) == json.loads(first.stdout)


def test_the_licence_in_the_card_of_a_model_of_the_hub_is_known(tmp_path: Path, hub: Hub) -> None:
    script = f"""
from pathlib import Path
from edgebert import sources
print(sources.licence(sources.locate("people/toy", {COMMIT!r}, Path())))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=hub.environment(tmp_path / "home"), capture_output=True, text=True
    )
    assert done.stdout == "mit\n", done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "people/toi"}, "people/toi"),
        ({"revision": "f" * 40}, "f" * 40),
        ({"revision": "branch"}, "branch"),
        ({"test": "testing.jsonl"}, "hub:people/rows/testing.jsonl"),
    ],
)
def test_what_the_hub_does_not_have_is_the_users_mistake(
    tmp_path: Path, hub: Hub, run_edgebert: Run, change: dict[str, str], told: str
) -> None:
    done = run_edgebert("plan", _recipe(tmp_path, **change), "--json", **hub.environment(tmp_path / "home"))
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow  # huggingface_hub tries again for about 20 seconds
@pytest.mark.parametrize("cached", ["nothing", "the model"])
def test_a_hub_out_of_reach_is_not_the_users_mistake(
    tmp_path: Path, hub: Hub, run_edgebert: Run, cached: str
) -> None:
    environment, recipe = hub.environment(tmp_path / "home"), _recipe(tmp_path)
    if cached == "the model":
        run_edgebert("plan", recipe, "--json", **environment)
        shutil.rmtree(tmp_path / "home" / "hub" / "datasets--people--rows")
    with socket.create_server(("127.0.0.1", 0)) as free:
        environment["HF_ENDPOINT"] = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = run_edgebert("plan", recipe, "--json", **environment)
    assert done.returncode == 4, done.stderr
    assert "the Hub could not be reached" in done.stderr
    assert ("people/toy" if cached == "nothing" else "hub:people/rows/train.jsonl") in done.stderr


@pytest.mark.slow
def test_a_connection_that_breaks_off_is_not_the_users_mistake(
    tmp_path: Path, hub: Hub, run_edgebert: Run
) -> None:
    hub.torn = "model.safetensors"
    done = run_edgebert("plan", _recipe(tmp_path), "--json", **hub.environment(tmp_path / "home"))
    assert done.returncode == 4, done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def test_a_hub_id_without_a_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs model\.revision"):
        sources.locate("people/toy", None, tmp_path)


def test_a_folder_is_looked_for_beside_the_recipe_and_before_the_hub(model: Path) -> None:
    assert sources.locate("models/toy", None, model.parents[1]) == model
    assert sources.locate("toy", None, model.parent) == model
    assert sources.locate(str(model), None, Path("/elsewhere")) == model


@pytest.mark.parametrize("source", ["nowhere", "./models/nowhere", "models/nowhere", "a/b/c", "/nowhere/toy"])
def test_a_folder_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError) as told:
        sources.locate(source, None, tmp_path)
    assert f"model.source = '{source}'" in str(told.value)
    assert f"no folder at {tmp_path / source}" in str(told.value)


def test_a_model_inside_a_package_is_found_without_importing_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "toy_weights"
    shutil.copytree(model, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sources.locate("package:toy_weights/model", None, Path("/elsewhere")) == package / "model"
    for wrong in ("package:toy_weights/modle", "package:toy_weights/../models/toy", "package:toy_weights//etc"):
        with pytest.raises(InputError, match=r"package 'toy_weights' has no folder"):
            sources.locate(wrong, None, tmp_path)
    assert "toy_weights" not in sys.modules


@pytest.mark.parametrize("source", ["package:no_such_package/model", "package:a.b/model", "package:"])
def test_a_package_that_is_not_installed_is_told_with_what_installs_it(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match=f"model.source = '{source}'"):
        sources.locate(source, None, tmp_path)
