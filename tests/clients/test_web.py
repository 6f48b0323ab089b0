"""The web client, run for real: its tokenizer and answers in Node, its page in headless Chromium."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Original

from edgebert import environments, exporting, opening, tokenizer_table
from edgebert.clients import web
from edgebert.device.tokenizer import Tokenizer
from edgebert.errors import SurroundingsError
from tests import stress, toy
from tests.chromium import ISOLATED, Chromium, chromium, served
from tests.clients import bundles
from tests.conftest import ROOT, Built
from tests.device.test_bundle import reseal

HERE = Path(__file__).parent
MOST, WHOLE = 64, 1 << 20  # tokens
LARGEST = 100_000  # bytes of the client's sources
CLOSE = 1e-4  # of scores, from files in fp32
NEAR = 0.05  # of scores, from 8-bit files: WebAssembly rounds a value between two steps its own way
ROWS = 200


def tool(name: str) -> Path:
    """Where a tool that `doctor --install` makes is; the test is skipped without."""
    try:
        return environments.place_of(name) / "node_modules"
    except SurroundingsError as error:
        pytest.skip(str(error))


def node(script: Path, *arguments: str | Path, said: str = "", expected: int = 0) -> str:
    """What a script prints."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    command = ["node", str(script), *map(str, arguments)]
    done = subprocess.run(command, input=said, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == expected, done.stderr
    assert expected or not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def exported(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client of the toy's bundle."""
    return export(bundle, tmp_path_factory.mktemp("web") / "client")


@pytest.fixture(scope="module")
def fp32(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's bundle with the weights it was made of, in fp32."""
    found = tmp_path_factory.mktemp("fp32") / "bundle"
    shutil.copytree(built.bundle("raspberry-pi-5"), found)
    [model] = (built.out / ".store").glob("export-*/onnx/model.onnx")
    shutil.copyfile(model, found / bundles.FILE)
    manifest = json.loads((found / "manifest.json").read_text(encoding="utf-8"))
    manifest["models"][0]["bytes"] = model.stat().st_size
    (found / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    reseal(found)
    return found


def export(bundle: Path, out: Path) -> Path:
    tool("web")
    exporting.export([bundle], "web", out)
    return out


def answers(client: Path, bundle: Path, rows: Sequence[Any], *options: str | Path) -> list[Any]:
    """The client's answers in Node."""
    lines = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    told = node(client / "cli.js", "--bundle", bundle, *options, said=lines)
    return [json.loads(line) for line in told.split("\n")[:-1]]


def gap(one: Any, other: Any) -> float:
    """The largest difference of numbers that stand at the same place; inf where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return max((gap(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((gap(*pair) for pair in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other)
    return 0.0 if one == other else float("inf")


def texts(count: int) -> list[str]:
    return [row["text"] for row in toy.rows(count, 11)]


class Tokens:
    """A kind of tokenizer in Node, and the ones that it is held to."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        (folder / "tokenizer.json").write_text(stress.tokenizers()[name], encoding="utf-8")
        tokenizer_table.write(folder / "tokenizer.json", folder)
        self.folder = folder
        self.original = Original.from_file(str(folder / "tokenizer.json"))
        self.original.no_padding()
        self.device = Tokenizer(str(folder), MOST, ["input_ids"])

    def told(self, rows: Sequence[tuple[str, ...]], most: int, *options: str) -> list[str]:
        """What Node tells of texts and of pairs, a line each."""
        lines = "".join("\t".join(text.encode().hex() for text in row) + "\n" for row in rows)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write(lines)
            file.flush()
            module = web.SOURCES / "edgebert.js"
            return node(HERE / "probe.mjs", module, self.folder, str(most), file.name, *options).splitlines()

    def differences(self, rows: Sequence[tuple[str, ...]], most: int) -> list[str]:
        """Texts and pairs whose first `most` ids are not those of the model's own tokenizer."""
        self.original.enable_truncation(most)
        expected = self.original.encode_batch([row if len(row) > 1 else row[0] for row in rows])
        pairs = zip(rows, self.told(rows, most), expected, strict=True)
        return [ascii(row) for row, told, one in pairs if told != " ".join(map(str, one.ids))]


@pytest.fixture(scope="module", params=list(stress.tokenizers()))
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(request.param, tmp_path_factory.mktemp("tokens"))


def test_no_token_differs_on_texts_that_are_hard_nor_on_pairs_of_them(tokens: Tokens) -> None:
    hard = stress.stress()
    chance = random.Random(3)
    assert tokens.differences([(text,) for text in hard], MOST) == []
    assert tokens.differences([(text, chance.choice(hard)) for text in hard], MOST) == []


@pytest.mark.slow
def test_no_token_differs_on_random_texts_and_on_every_code_point(tokens: Tokens) -> None:
    texts = [*stress.random_texts(20_000)]
    texts += stress.whole_unicode(tokens.name)
    assert tokens.differences([(text,) for text in texts], WHOLE) == []


def test_tokens_stand_where_the_device_has_them(tokens: Tokens) -> None:
    hard = [*stress.stress(), *stress.random_texts(1000)]
    for text, told in zip(hard, tokens.told([(text,) for text in hard], WHOLE, "--places"), strict=True):
        units = [0]  # UTF-16 code units before each code point
        for character in text:
            units.append(units[-1] + len(character.encode("utf-16-le")) // 2)
        placed = tokens.device.placed(text)
        expected = [f"{number}:{units[begin]}:{units[end]}:{word}" for number, begin, end, word in placed]
        assert told.split() == expected, ascii(text)


@pytest.mark.parametrize(("kind", "decoding"), bundles.SETTINGS)
def test_answers_are_those_of_python_for_every_task(
    kind: str, decoding: dict[str, Any], exported: Path, tmp_path: Path
) -> None:
    made, rows = bundles.write(tmp_path / "bundle", kind, **decoding), bundles.rows(kind, 60, **decoding)
    expected = opening.open_bundle(made).predict(rows)
    assert gap(expected, answers(exported, made, rows)) < CLOSE
    assert kind != "token-classification" or any(answer["entities"] for answer in expected)


def test_8_bit_answers_are_those_of_python_in_webassembly_and_with_onnxruntime_node(
    bundle: Path, exported: Path, tmp_path: Path
) -> None:
    expected = opening.open_bundle(bundle).predict(texts(ROWS))
    wasm = answers(exported, bundle, texts(ROWS))
    assert [one["label"] for one in wasm] == [one["label"] for one in expected]
    assert gap(expected, wasm) < NEAR
    native = export(bundle, tmp_path / "native")
    (native / "node_modules").symlink_to(tool("transformers-js"))
    found = answers(native, bundle, texts(ROWS), "--runtime", "node")
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    assert gap(expected, found) < CLOSE


def test_fp32_scores_are_those_of_python(fp32: Path, exported: Path) -> None:
    assert gap(opening.open_bundle(fp32).predict(texts(ROWS)), answers(exported, fp32, texts(ROWS))) < CLOSE


def test_lines_that_cannot_be_answered_are_told_and_the_others_answered(exported: Path) -> None:
    told = node(exported / "cli.js", said='a sunny day\n \n{"text": 3}\n{"text": "\\ud800"}\nsnow\n', expected=1)
    found = [json.loads(line) for line in told.splitlines()]
    assert [one.get("error", "answered") for one in found] == ["answered", *["TextError"] * 3, "answered"]


def test_misuse_is_a_typed_error(exported: Path) -> None:
    told = json.loads(node(HERE / "faults.mjs", exported))
    assert not [case for case, said in told.items() if str(said).startswith(("not ours", "nothing"))]
    found = {case: str(said).partition(":")[0] for case, said in told.items()}
    unsupported = {"newer schema", "another task", "another format"}
    assert {case for case, name in found.items() if name == "UnsupportedError"} == unsupported
    wrong_texts = {"empty text", "lone surrogate", "no text", "a number", "null"}
    assert {case for case, name in found.items() if name == "TextError"} == wrong_texts
    assert found["damaged model"] == "ModelError" and found["closed"] == "ClosedError"
    assert found["every truncation"] == "BundleError"
    assert "manifest tells" in told["truncated model"]
    assert told["a megabyte"].startswith("true ")
    assert told["at once"] is True and told["under way while it closes"] is True


def test_the_client_is_small_and_tells_its_sizes_and_how_to_serve_it(exported: Path, bundle: Path) -> None:
    sources = [path for path in web.SOURCES.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".py")]
    assert sum(path.stat().st_size for path in sources) < LARGEST
    readme = (exported / "README.md").read_text(encoding="utf-8")
    assert opening.digest(bundle) in readme and " MB" in readme and "$" not in readme
    assert not (exported / "bundle" / "golden.jsonl").exists()  # it may hold texts of the user's
    assert not list(exported.rglob("*.py"))


def test_without_the_runtime_the_command_that_brings_it_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SurroundingsError, match=r"edgebert doctor --install web$"):
        exporting.export([bundle], "web", tmp_path / "client")
    assert not (tmp_path / "client").exists()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """One browser for all pages."""
    with chromium() as found:
        yield found


TYPED = "a sunny day, wet umbrella-light here; naïve 中文 and café (warm)"
ASK = """
const [rows] = args, found = [];
const worker = new Worker("page/worker.js", { type: "module" });
const next = () => new Promise((done) => { worker.onmessage = ({ data }) => { if (!data.loading) done(data); }; });
const opened = await next();
if (opened.failed) throw new Error(opened.failed.message);
for (const [number, row] of rows.entries()) { worker.postMessage({ number, row }); found.push(await next()); }
worker.terminate();
return found;
"""


def asked(browser: Chromium, rows: Sequence[Any]) -> list[Any]:
    """Answers of the page's worker."""
    return [one["answer"] for one in browser.run(ASK, list(rows))]


def opened(browser: Chromium, url: str) -> None:
    browser.open(url)
    browser.wait("!document.getElementById('asking')?.hidden || !document.getElementById('error').hidden")


@pytest.mark.slow
def test_the_page_answers_as_python_does_and_asks_no_other_server(
    browser: Chromium, exported: Path, bundle: Path
) -> None:
    expected = opening.open_bundle(bundle).predict(texts(ROWS))
    with served(exported) as url:
        opened(browser, url)
        browser.type("textarea", texts(1)[0])
        browser.wait("document.querySelector('.headline')")
        label = browser.run("return document.querySelector('.headline strong').textContent")
        figures = browser.run("return document.getElementById('figures').textContent")
        assert label == expected[0]["label"] and " ms for " in figures and "one thread" in figures
        found = asked(browser, texts(ROWS))
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        assert gap(expected, found) < NEAR
        assert browser.said() == []
        assert [one for one in browser.requested() if not one.startswith(url)] == []
        assert browser.elsewhere == []
        blocked = browser.run("return await fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'blocked')")
        assert blocked == "blocked" and any("Content Security Policy" in one for one in browser.said())


@pytest.mark.slow
def test_the_page_answers_in_fp32_as_python_does(browser: Chromium, fp32: Path, tmp_path: Path) -> None:
    with served(export(fp32, tmp_path / "client")) as url:
        opened(browser, url)
        assert gap(opening.open_bundle(fp32).predict(texts(50)), asked(browser, texts(50))) < CLOSE


@pytest.mark.slow
def test_a_page_that_the_server_isolates_computes_on_several_threads(
    browser: Chromium, exported: Path, bundle: Path
) -> None:
    with served(exported, ISOLATED) as url:
        opened(browser, url)
        assert gap(opening.open_bundle(bundle).predict(texts(20)), asked(browser, texts(20))) < NEAR
        browser.type("textarea", "sunny")
        browser.wait("document.querySelector('.headline')")
        figures = browser.run("return document.getElementById('figures').textContent")
        assert os.cpu_count() == 1 or " threads" in figures
        assert browser.said() == []


@pytest.mark.slow
def test_the_benchmark_tells_the_ratio_of_page_to_native(browser: Chromium, exported: Path, bundle: Path) -> None:
    spec = importlib.util.spec_from_file_location("web_speed", ROOT / "benchmarks" / "web_speed.py")
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    with served(exported) as url:
        browser.open(url)
        found = benchmark.compared(browser, bundle, 16, 1)
    assert (found["tokens"], found["threads"]) == (16, 1)
    assert all(0 < ratio["p10"] <= ratio["median"] <= ratio["p90"] for ratio in found["page_to_native"].values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in bundles.KINDS if kind != "text-classification"])
def test_every_task_has_its_page(kind: str, browser: Chromium, tmp_path: Path) -> None:
    made = bundles.write(tmp_path / "bundle", kind)
    with served(export(made, tmp_path / "client")) as url:
        opened(browser, url)
        for column in bundles.rows(kind, 1)[0]:
            browser.type(f"#{column}", TYPED)
        browser.wait("document.getElementById('answer').children.length")
        assert browser.said() == []


@pytest.mark.slow
def test_a_page_without_its_model_says_so(browser: Chromium, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "client")
    (tmp_path / "client" / "bundle" / bundles.FILE).unlink()
    with served(tmp_path / "client") as url:
        opened(browser, url)
        said = browser.run("return document.getElementById('error').textContent")
        assert "model_quantized.onnx cannot be fetched: the server answers 404" in said
        browser.said()  # Chromium itself tells of the 404


TRANSFORMERS = """
const [url, texts] = args;
const { pipeline, env } = await import(`${url}transformers/transformers.min.js`);
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "/";
env.backends.onnx.wasm.wasmPaths = `${url}ort/`;
env.backends.onnx.wasm.numThreads = 1;
const classify = await pipeline("text-classification", "bundle", { dtype: "q8", device: "wasm" });
const found = [];
for (const text of texts) found.push((await classify(text))[0]);
return found;
"""


def same(expected: Sequence[Any], found: Sequence[Any], most: float) -> None:
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    scores = zip(expected, found, strict=True)
    assert max(abs(one["score"] - other["score"]) for one, other in scores) < most


@pytest.mark.slow
def test_transformers_js_opens_the_bundle_as_it_is_in_node(bundle: Path, tmp_path: Path) -> None:
    modules = tool("transformers-js")
    long = [*texts(40), "sunny " * 300]
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "bundle").symlink_to(bundle)
    script = tmp_path / "classify.mjs"
    script.write_text(
        'import { pipeline, env } from "@huggingface/transformers";\n'
        "env.allowRemoteModels = false; env.localModelPath = process.argv[2];\n"
        'const classify = await pipeline("text-classification", "bundle", { dtype: "q8" });\n'
        "const found = [];\n"
        "for (const text of JSON.parse(process.argv[3])) found.push((await classify(text))[0]);\n"
        "console.log(JSON.stringify(found));\n",
        encoding="utf-8",
    )
    told = node(script, tmp_path, json.dumps(long))
    same(opening.open_bundle(bundle).predict(long), json.loads(told), CLOSE)


@pytest.mark.slow
def test_transformers_js_opens_the_bundle_as_it_is_in_chromium(
    browser: Chromium, bundle: Path, tmp_path: Path
) -> None:
    modules = tool("transformers-js")
    (tmp_path / "bundle").symlink_to(bundle)
    (tmp_path / "transformers").symlink_to(modules / "@huggingface" / "transformers" / "dist")
    (tmp_path / "ort").symlink_to(modules / "onnxruntime-web" / "dist")
    (tmp_path / "index.html").write_text("<!doctype html><title>transformers.js</title>", encoding="utf-8")
    long = [*texts(40), "sunny " * 300]
    with served(tmp_path) as url:
        browser.open(url)
        found = browser.run(TRANSFORMERS, url, long)
        same(opening.open_bundle(bundle).predict(long), found, NEAR)
        assert browser.elsewhere == []
        browser.said()
