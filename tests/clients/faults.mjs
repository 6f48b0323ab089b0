// What a bundle's misuse throws: node faults.mjs EXPORTED_FOLDER; one JSON object of error names by case.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder] = process.argv.slice(2);
globalThis.require = createRequire(import.meta.url);
const ort = await import(pathToFileURL(join(folder, "ort", "ort.wasm.bundle.min.js")));
ort.env.wasm.numThreads = 1;
const { Bundle, Tokenizer, EdgeBertError } = await import(pathToFileURL(join(folder, "edgebert.js")));
const room = mkdtempSync(join(tmpdir(), "edgebert-"));
const told = {};

async function thrown(name, act) {
  try {
    await act();
    told[name] = "nothing";
  } catch (error) {
    told[name] = `${error instanceof EdgeBertError ? "" : "not ours: "}${error.name}: ${error.message}`;
  }
}

async function opened(name, change) {
  const copy = join(room, name.replaceAll(" ", "-"));
  cpSync(join(folder, "bundle"), copy, { recursive: true });
  change(copy);
  await thrown(name, () => Bundle.open(copy, ort));
}

const cut = (file, share) => (copy) => {
  const data = readFileSync(join(copy, file));
  writeFileSync(join(copy, file), data.subarray(0, Math.floor(data.length * share)));
};
const manifest = (change) => (copy) => {
  const found = JSON.parse(readFileSync(join(copy, "manifest.json"), "utf8"));
  change(found);
  writeFileSync(join(copy, "manifest.json"), JSON.stringify(found));
};

const whole = JSON.parse(readFileSync(join(folder, "bundle", "manifest.json"), "utf8"));
const { file, bytes } = whole.models[0];
await thrown("no folder", () => Bundle.open(join(room, "nowhere"), ort));
await opened("missing model", (copy) => rmSync(join(copy, file)));
await opened("missing vocabulary", (copy) => rmSync(join(copy, "vocab.txt")));
await opened("truncated model", cut(file, 0.5));
await opened("damaged model", (copy) => writeFileSync(join(copy, file), Buffer.alloc(bytes, 7)));
await opened("truncated table", cut("tokenizer.bin", 0.5));
await opened("foreign table", (copy) => writeFileSync(join(copy, "tokenizer.bin"), "PK\u0003\u0004 an archive"));
await opened("truncated vocabulary", cut("vocab.txt", 0.01));
await opened("truncated manifest", cut("manifest.json", 0.5));
await opened("newer schema", manifest((found) => (found.schema = 2)));
await opened("another task", manifest((found) => (found.task = "fill-mask")));
await opened("another format", manifest((found) => found.models.forEach((one) => (one.format = "tflite"))));

// Every place where the table may end too soon.
const table = readFileSync(join(folder, "bundle", "tokenizer.bin"));
const vocabulary = readFileSync(join(folder, "bundle", "vocab.txt"), "utf8");
const ends = new Set();
for (let length = 0; length < table.length; length += length < 400 ? 1 : 97) {
  try {
    new Tokenizer(table.subarray(0, length), vocabulary, 32);
    ends.add("nothing");
  } catch (error) {
    ends.add(error.name);
  }
}
told["every truncation"] = [...ends].join(" ");

const bundle = await Bundle.open(join(folder, "bundle"), ort);
await thrown("empty text", () => bundle.answer(" \u2003\n"));
await thrown("lone surrogate", () => bundle.answer("a \ud83d b"));
await thrown("no text", () => bundle.answer({}));
await thrown("a number", () => bundle.answer({ text: 7 }));
await thrown("null", () => bundle.answer(null));
const long = await bundle.answer("sunny ".repeat(175000));
told["a megabyte"] = `${long.truncated} ${long.label}`;
const texts = ["a sunny day", "snow and ice", "wet", "it is very warm today and we see more"];
const apart = [];
for (const text of texts) apart.push(await bundle.answer(text));
const together = await Promise.all(texts.map((text) => bundle.answer(text)));
told["at once"] = JSON.stringify(together) === JSON.stringify(apart);
const last = bundle.answer("the last one");
await bundle.close();
told["under way while it closes"] = (await last).label !== undefined;
await thrown("closed", () => bundle.answer("too late"));
await bundle.close();
rmSync(room, { recursive: true });
console.log(JSON.stringify(told, null, 1));
