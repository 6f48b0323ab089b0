/**
 * EdgeBERT bundles in JavaScript: tokens, model and answers as on the machine that trained it.
 *
 *     import * as ort from "./ort/ort.wasm.bundle.min.js"; // or onnxruntime-node, onnxruntime-web from npm
 *     import { Bundle } from "./edgebert.js";
 *     const bundle = await Bundle.open("bundle/", ort);
 *     console.log(await bundle.answer("wake me up at seven"));
 *     await bundle.close();
 *
 * Answers have the keys of `edgebert predict --json`; `start` and `end` are UTF-16 code units, as JavaScript's
 * strings count them, and `inCodePoints` turns them into what Python counts.
 */
import { ANSWERS } from "./edgebert/decoding.js";
import { BundleError, ClosedError, ModelError, UnsupportedError } from "./edgebert/errors.js";
import { filesOf } from "./edgebert/files.js";
import { COLUMNS, rowOf, textOf, WINDOWS } from "./edgebert/reading.js";
import { codePoints } from "./edgebert/text.js";
import { Tokenizer } from "./edgebert/tokenizer.js";

export * from "./edgebert/errors.js";
export { COLUMNS, Tokenizer };

const SCHEMA = 1; // the newest that is read

export class Bundle {
  #session;
  #ort;
  #last = Promise.resolve(); // runs follow one another: a session is not for two at once

  /**
   * Open a bundle.
   *
   * @param {string | URL} folder  where it is: a URL, or in Node a path
   * @param {object} ort  an ONNX Runtime: the module onnxruntime-web or onnxruntime-node
   * @param {{threads?: number, tell?: (done: number, whole: number) => void}} [options]  `threads` to compute with;
   *   `tell` hears how many bytes of the model were read, and of how many
   * @returns {Promise<Bundle>}
   * Throws BundleError, UnsupportedError, ModelError.
   */
  static async open(folder, ort, { threads = 1, tell = () => {} } = {}) {
    const files = await filesOf(folder);
    const manifest = manifestOf(await files.bytes("manifest.json"));
    const entry = entryOf(manifest);
    const read = ort.env.versions.web === undefined && files.path ? files.path : files.bytes;
    const [table, vocabulary, model] = await Promise.all([
      files.bytes("tokenizer.bin"),
      files.bytes("vocab.txt"),
      read(entry.file, (done, whole) => tell(done, whole || entry.bytes)),
    ]);
    if (model.length !== entry.bytes) {
      throw new BundleError(`${entry.file} has ${model.length} bytes, not the ${entry.bytes} that the manifest tells`);
    }
    const tokenizer = new Tokenizer(table, new TextDecoder("utf-8", { ignoreBOM: true }).decode(vocabulary), manifest.decoding.max_tokens);
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3, extra: entry.session ?? {} };
    try {
      const session = await ort.InferenceSession.create(model.path ?? model, options);
      return new Bundle(manifest, entry, tokenizer, session, ort);
    } catch (error) {
      throw new ModelError(`${entry.file} cannot be loaded: ${error.message}`, { cause: error });
    }
  }

  /** Use Bundle.open. */
  constructor(manifest, entry, tokenizer, session, ort) {
    /** What the bundle says of itself: `name`, `task`, `labels`, `decoding` and more. */
    this.manifest = manifest;
    this.entry = entry;
    this.tokenizer = tokenizer;
    this.#session = session;
    this.#ort = ort;
  }

  /**
   * The answer to a row: a text, or an object with the task's columns (`COLUMNS`).
   *
   * @returns {Promise<object>} the keys of the task's answers, and `truncated`
   * Throws TextError, ModelError, ClosedError.
   */
  async answer(given) {
    const { task, decoding } = this.manifest;
    const row = rowOf(given, task);
    const windows = WINDOWS[task](row, this.tokenizer, decoding);
    await this.#run(windows);
    return {
      ...ANSWERS[task](windows, row, this.manifest.labels, decoding),
      truncated: windows.some((window) => window.encoding.truncated),
    };
  }

  /** Run the model once, so that the first answer does not wait for code to be compiled. Throws ModelError. */
  async warmUp() {
    await this.#run([{ encoding: this.tokenizer.encode("a") }]);
  }

  /** How many windows and tokens the model reads of a row. Throws TextError. */
  size(given) {
    const { task, decoding } = this.manifest;
    const windows = WINDOWS[task](rowOf(given, task), this.tokenizer, decoding);
    return { windows: windows.length, tokens: windows.reduce((sum, one) => sum + one.encoding.ids.length, 0) };
  }

  /** Give the model's memory back, after the answers that are under way. */
  async close() {
    const session = this.#session;
    this.#session = null;
    await this.#last;
    await session?.release();
  }

  /** Give windows their outputs, after what was asked before. */
  #run(windows) {
    const session = this.#session;
    if (session === null) return Promise.reject(new ClosedError("the bundle was closed"));
    const done = this.#last.then(async () => {
      for (const window of windows) {
        try {
          const results = await session.run(this.#feeds(window.encoding));
          window.outputs = this.#outputs(results, window.encoding.ids.length);
        } catch (error) {
          throw new ModelError(`the model cannot be run: ${error.message}`, { cause: error });
        }
      }
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Tensors int64 or int32 [1, tokens] by input name, padded where the file has one fixed length. */
  #feeds({ ids, types }) {
    const known = { input_ids: ids, attention_mask: ids.map(() => 1), token_type_ids: types };
    const feeds = {};
    for (const { name, dtype, shape } of this.entry.signature.inputs) {
      const tokens = shape[1] ?? ids.length;
      if (ids.length > tokens) throw new RangeError(`${ids.length} tokens; the file holds ${tokens}`);
      const data = dtype === "int32" ? new Int32Array(tokens) : new BigInt64Array(tokens);
      known[name].forEach((one, i) => (data[i] = dtype === "int32" ? one : BigInt(one)));
      feeds[name] = new this.#ort.Tensor(dtype, data, [1, tokens]);
    }
    return feeds;
  }

  /** Outputs by name, without the batch axis and the rows of padding. */
  #outputs(results, tokens) {
    const found = {};
    for (const { name, per_token: perToken } of this.entry.signature.outputs) {
      const { data, dims } = results[name];
      const shape = dims.slice(1);
      if (perToken) shape[0] = tokens;
      const size = shape.reduce((product, one) => product * one, 1);
      found[name] = { data: data.slice(0, size), dims: shape };
    }
    for (const tensor of Object.values(results)) tensor.dispose?.();
    return found;
  }
}

/** The answer to a row with `start` and `end` in Unicode code points. */
export function inCodePoints(answer, given) {
  if (answer.entities !== undefined) {
    const place = codePoints(typeof given === "string" ? given : textOf(given));
    return { ...answer, entities: answer.entities.map((one) => moved(one, place)) };
  }
  if (answer.n_best !== undefined) {
    const place = codePoints(given.context);
    return { ...moved(answer, place), n_best: answer.n_best.map((one) => moved(one, place)) };
  }
  return answer;
}

function moved(span, place) {
  return span.start === null ? span : { ...span, start: place(span.start), end: place(span.end) };
}

function manifestOf(bytes) {
  let found;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new BundleError(`manifest.json is not JSON: ${error.message}`, { cause: error });
  }
  if (!Number.isInteger(found?.schema)) throw new BundleError("manifest.json names no schema");
  if (found.schema > SCHEMA) {
    throw new UnsupportedError(`a bundle of schema ${found.schema}; this client reads ${SCHEMA}: export it again`);
  }
  for (const key of ["name", "task", "labels", "default_model", "models", "decoding"]) {
    if (found[key] === undefined) throw new BundleError(`manifest.json lacks ${key}`);
  }
  if (WINDOWS[found.task] === undefined) {
    throw new UnsupportedError(`a bundle of ${found.task}; this client serves ${Object.keys(WINDOWS).join(", ")}`);
  }
  return found;
}

/** The default model's entry. */
function entryOf(manifest) {
  const entry = manifest.models.find((one) => one.id === manifest.default_model);
  if (entry === undefined) throw new BundleError(`manifest.json names no model '${manifest.default_model}'`);
  if (entry.format !== "onnx") throw new UnsupportedError(`a bundle of ${entry.format}; this client opens onnx`);
  return entry;
}
