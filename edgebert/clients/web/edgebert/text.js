/** Texts as the trainer sees them: its white space, and what is wrong with a text. */
import { TextError } from "./errors.js";

// JavaScript's trim() knows another set: U+FEFF is none here.
const SPACES = new Set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000");
for (let code = 0x2000; code <= 0x200a; code++) SPACES.add(String.fromCharCode(code));
const SEPARATORS = new Set("\x1c\x1d\x1e\x1f");

/** Whether a character is white space; separators of records and the like count where texts are trimmed. */
export function isSpace(character, separators = true) {
  return SPACES.has(character) || (separators && SEPARATORS.has(character));
}

/** The range of a text without the white space at its ends. */
export function trimmed(text, start, end) {
  let [from, to] = [start, end];
  while (from < end && isSpace(text[from])) from++;
  while (to > start && isSpace(text[to - 1])) to--;
  return [from, to];
}

export function isBlank(text) {
  for (const character of text) if (!isSpace(character)) return false;
  return true;
}

/** The texts of a row by their columns. Throws TextError for one that is missing, empty or ill-formed. */
export function texts(row, columns) {
  return columns.map((column) => wellFormed(row[column], column));
}

/** A text as it is. Throws TextError, which names it, where it cannot be given to a tokenizer. */
export function wellFormed(text, name) {
  if (text === undefined || text === null) throw new TextError(`${name} is missing`);
  if (typeof text !== "string") throw new TextError(`${name} is ${typeof text}, not text`);
  if (isBlank(text)) throw new TextError(`${name} is empty`);
  for (const character of text) {
    const code = character.codePointAt(0);
    if (code >= 0xd800 && code <= 0xdfff) {
      throw new TextError(`${name} is not well-formed Unicode (it has a lone surrogate)`);
    }
  }
  return text;
}

/** A function from places in a text in UTF-16 code units to places in code points. */
export function codePoints(text) {
  const before = new Int32Array(text.length + 1);
  for (let at = 0; at < text.length; at++) {
    const second = at > 0 && text.codePointAt(at - 1) > 0xffff;
    before[at + 1] = before[at] + (second ? 0 : 1);
  }
  return (place) => before[place];
}
