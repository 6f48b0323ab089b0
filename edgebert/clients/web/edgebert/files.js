/** Files of a bundle: fetched in a browser, read in Node. */
import { BundleError } from "./errors.js";

const inNode = typeof process !== "undefined" && process.versions?.node !== undefined;

/**
 * The files of a folder.
 *
 * @param {string | URL} folder  a URL, in browsers relative to the page or worker; in Node a path, or a file URL
 * @returns {Promise<{bytes(name: string, tell?: Tell): Promise<Uint8Array>, path?(name: string): Promise<object>}>}
 *   `path`, where there are paths, gives the `path` and `length` of a file, for a runtime that reads it itself
 * @typedef {(read: number, whole: number) => void} Tell  hears how many bytes of a file were read, 0: unknown
 */
export async function filesOf(folder) {
  const text = String(folder);
  if (inNode && !/^https?:/.test(text)) return nodeFiles(text);
  const base = new URL(text.endsWith("/") ? text : `${text}/`, globalThis.location?.href);
  const bytes = (name, tell) => fetched(new URL(name, base), name, tell);
  return { bytes };
}

async function nodeFiles(folder) {
  const [{ readFile, stat }, { join }, { fileURLToPath }] = await Promise.all(
    ["node:fs/promises", "node:path", "node:url"].map((name) => import(name)),
  );
  const root = folder.startsWith("file:") ? fileURLToPath(folder) : folder;
  const told = (name) => (error) => {
    throw new BundleError(`${join(root, name)}: cannot be read (${error.code})`, { cause: error });
  };
  return {
    bytes: (name) => readFile(join(root, name)).catch(told(name)),
    path: async (name) => ({ path: join(root, name), length: (await stat(join(root, name)).catch(told(name))).size }),
  };
}

async function fetched(url, name, tell = () => {}) {
  const failed = (why, cause) => new BundleError(`${name} cannot be fetched: ${why}`, { cause });
  let found;
  try {
    found = await fetch(url, { credentials: "same-origin" });
  } catch (error) {
    throw failed(error.message, error);
  }
  if (!found.ok) throw failed(`the server answers ${found.status} ${found.statusText}`.trimEnd());
  // A compressed body is longer than its content-length tells.
  const whole = found.headers.get("content-encoding") ? 0 : Number(found.headers.get("content-length") ?? 0);
  const parts = [];
  let read = 0;
  try {
    const reader = found.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      read += value.length;
      tell(read, whole);
    }
  } catch (error) {
    throw failed(error.message, error);
  }
  const data = new Uint8Array(read);
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}
