/** The page: loads the bundle, asks it while one types, and shows what it answers. */
import { element } from "./element.js";
import { FIELDS } from "./fields.js";
import { shown } from "./shown.js";

const DELAY = 150; // milliseconds after the last key
const INVITATION = "The answer appears here while you type.";
const MB = 1e6;
const at = (id) => document.getElementById(id);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
let manifest = null;
let [asked, waiting, busy] = [0, null, false];

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason?.message ?? String(event.reason)));
worker.onerror = (event) => fail(event.message || "a script of this page cannot be loaded");
worker.onmessage = ({ data }) => {
  if (data.loading) loading(data.loading);
  else if (data.ready) ready(data.ready);
  else if (data.number === undefined) fail(data.failed.message);
  else answered(data);
};

function loading({ done, whole }) {
  at("progress").max = whole;
  at("progress").value = done;
  at("loaded").textContent = `Loading the model: ${(done / MB).toFixed(1)} of ${(whole / MB).toFixed(1)} MB`;
}

function ready(found) {
  manifest = found;
  document.title = manifest.name;
  at("name").textContent = manifest.name;
  const labels = manifest.labels.length ? `, ${manifest.labels.length} labels` : "";
  at("about").prepend(`${manifest.task.replaceAll("-", " ")}${labels}. `);
  at("loading").hidden = true;
  at("asking").hidden = false;
  const fields = FIELDS[manifest.task](manifest).map(field);
  at("row").append(...fields);
  at("row").addEventListener("input", later(ask, DELAY));
  at("row").addEventListener("submit", (event) => event.preventDefault());
  at("row").querySelector("textarea, input").focus();
  at("figures").textContent = INVITATION;
}

function field({ name, label, lines, optional }) {
  const control = element(lines > 1 ? "textarea" : "input", { id: name, name, autocomplete: "off" });
  if (lines > 1) control.rows = lines;
  control.dataset.optional = optional ? "yes" : "";
  return element("div", { className: "field" }, element("label", { htmlFor: name }, label), control);
}

function later(act, delay) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, delay);
  };
}

/** Ask for what stands in the form; while an answer is under way, the newest row waits. */
function ask() {
  const controls = [...at("row").elements];
  const filled = controls.filter((one) => one.value.trim() !== "");
  waiting = null;
  asked++;
  if (controls.some((one) => !one.dataset.optional && !filled.includes(one))) {
    at("answer").replaceChildren();
    at("figures").textContent = INVITATION;
    return;
  }
  waiting = { number: asked, row: Object.fromEntries(filled.map((one) => [one.name, one.value])) };
  send();
}

function send() {
  if (busy || waiting === null) return;
  worker.postMessage(waiting);
  [busy, waiting] = [true, null];
}

function answered({ number, row, answer, took, size, failed }) {
  busy = false;
  if (number === asked) {
    at("error").hidden = true;
    if (failed) fail(failed.message);
    else {
      at("answer").replaceChildren(...shown(manifest, row, answer));
      const windows = size.windows > 1 ? ` in ${size.windows} parts` : "";
      const threads = size.threads > 1 ? `${size.threads} threads` : "one thread";
      at("figures").textContent = `${took.toFixed(1)} ms for ${size.tokens} tokens${windows}, on ${threads}`;
    }
  }
  send();
}

function fail(message) {
  at("error").textContent = message;
  at("error").hidden = false;
  at("loading").hidden = true;
}
