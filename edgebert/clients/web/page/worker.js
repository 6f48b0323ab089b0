/** The bundle, away from the page's thread: typing goes on while the model computes. */
import * as ort from "../ort/ort.wasm.bundle.min.js";
import { Bundle } from "../edgebert.js";

const THREADS = 4; // at most; more than one need a page that the server's headers isolate
const threads = globalThis.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency) : 1;

ort.env.logLevel = "error";
ort.env.wasm.numThreads = threads;
ort.env.wasm.wasmPaths = { wasm: new URL("../ort/ort-wasm-simd-threaded.wasm", import.meta.url).href };

const tell = (done, whole) => postMessage({ loading: { done, whole } });
const opened = Bundle.open(new URL("../bundle/", import.meta.url), ort, { tell, threads }).then(async (bundle) => {
  await bundle.warmUp();
  return bundle;
});
opened.then(
  ({ manifest }) => postMessage({ ready: manifest }),
  (error) => postMessage({ failed: told(error) }),
);

onmessage = async ({ data: { number, row } }) => {
  try {
    const bundle = await opened;
    const started = performance.now();
    const answer = await bundle.answer(row);
    postMessage({ number, row, answer, took: performance.now() - started, size: { ...bundle.size(row), threads } });
  } catch (error) {
    postMessage({ number, row, failed: told(error) });
  }
};

function told(error) {
  return { name: error.name, message: error.message };
}
