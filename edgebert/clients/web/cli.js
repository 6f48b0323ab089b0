#!/usr/bin/env node
/**
 * Answers of a bundle, in Node: node cli.js [--bundle FOLDER] [--runtime node|wasm] [--bench SECONDS] [TEXT...]
 *
 * A row is a text, or a JSON object with the task's columns; without texts the lines of standard input are rows. One
 * JSON answer a line goes to standard output, places in Unicode code points. onnxruntime-node computes where it is
 * installed (npm install onnxruntime-node), else the WebAssembly build beside this file. Exit status: 0 all rows
 * were answered, 1 some were not (their line has `error`), 2 the bundle cannot be opened or the arguments are wrong.
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Bundle, EdgeBertError, inCodePoints, ModelError, TextError } from "./edgebert.js";

const OPTIONS = { bundle: { type: "string" }, bench: { type: "string" }, runtime: { type: "string" } };

try {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const bundle = await Bundle.open(values.bundle ?? new URL("bundle/", import.meta.url), await runtime(values.runtime));
  const lines = positionals.length ? positionals : createInterface({ input: process.stdin, crlfDelay: Infinity });
  process.exitCode = await (values.bench ? bench(bundle, lines, Number(values.bench)) : answer(bundle, lines));
  await bundle.close();
} catch (error) {
  if (!(error instanceof EdgeBertError) && !error.code?.startsWith("ERR_PARSE_ARGS")) throw error;
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 2;
}

/** ONNX Runtime as a native library, or as WebAssembly on one thread. */
async function runtime(name = "") {
  if (name !== "wasm") {
    try {
      return (await import("onnxruntime-node")).default;
    } catch (error) {
      if (name === "node") throw new ModelError(`onnxruntime-node cannot be loaded: ${error.message}`, { cause: error });
    }
  }
  globalThis.require = createRequire(import.meta.url); // the bundle for browsers asks for Node's modules by it
  const ort = await import("./ort/ort.wasm.bundle.min.js");
  ort.env.wasm.numThreads = 1;
  return ort;
}

function rowOf(line) {
  if (!line.trimStart().startsWith("{")) return line;
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}

async function answer(bundle, lines) {
  let failed = 0;
  for await (const line of lines) {
    const row = rowOf(line);
    try {
      console.log(JSON.stringify(inCodePoints(await bundle.answer(row), row)));
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      console.log(JSON.stringify({ error: error.name, message: error.message }));
      failed = 1;
    }
  }
  return failed;
}

/** Rows answered again and again for some seconds: texts tokenized and rows answered a second, as JSON. */
async function bench(bundle, lines, seconds) {
  const rows = [];
  for await (const line of lines) rows.push(rowOf(line));
  const rate = async (once) => {
    let [count, started] = [0, performance.now()];
    for (; performance.now() - started < 1000 * seconds; count++) await once(rows[count % rows.length]);
    return Math.round((1000 * count) / (performance.now() - started));
  };
  await rate((row) => bundle.answer(row)); // compiled code and remembered words first
  const tokenized = await rate((row) => bundle.size(row));
  console.log(JSON.stringify({ tokenized_per_second: tokenized, answered_per_second: await rate((row) => bundle.answer(row)) }));
  return 0;
}
