// Token ids of texts: node probe.mjs EDGEBERT.JS FOLDER MAX_TOKENS LINES [--places]
// A line of LINES is hex(UTF-8 of a text), and behind a tab that of its pair.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, folder, most, lines, places] = process.argv.slice(2);
const { Tokenizer } = await import(pathToFileURL(module));
const tokenizer = new Tokenizer(readFileSync(`${folder}/tokenizer.bin`), readFileSync(`${folder}/vocab.txt`, "utf8"), Number(most));
const told = [];
for (const line of readFileSync(lines, "utf8").split("\n").slice(0, -1)) {
  const [text, pair = null] = line.split("\t").map((one) => Buffer.from(one, "hex").toString("utf8"));
  if (places) told.push(tokenizer.placed(text).map((one) => `${one.number}:${one.begin}:${one.end}:${one.word}`));
  else told.push(tokenizer.encode(text, pair).ids);
}
process.stdout.write(told.map((one) => `${one.join(" ")}\n`).join(""));
