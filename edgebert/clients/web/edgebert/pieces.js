/** From a normalized word to its pieces: WordPiece's longest match first, or unigram's likeliest cut. */

const REMEMBERED = 50000; // words whose pieces are kept
const UNKNOWN = 10; // what an unknown character scores below the rarest piece: sentencepiece's kUnkPenalty

/** A cut is [number of a piece, its first code unit in the word, the one behind its last] for each piece. */
class Pieces {
  constructor() {
    this.known = new Map();
  }

  /** @returns {number[]} the numbers of a word's pieces. */
  numbers(word) {
    let found = this.known.get(word);
    if (found === undefined) {
      if (this.known.size >= REMEMBERED) this.known.clear();
      found = this.cut(word).map(([number]) => number);
      this.known.set(word, found);
    }
    return found;
  }
}

/** BERT's: from the left, the longest piece that there is; a word with a part that is none is unknown. */
class WordPiece extends Pieces {
  constructor(reader, vocabulary, unknown) {
    super();
    this.longest = reader.number();
    const prefix = reader.text();
    this.unknown = unknown;
    this.first = new Map();
    this.inner = new Map();
    vocabulary.forEach((piece, number) => {
      this.first.set(piece, number);
      if (piece.startsWith(prefix)) this.inner.set(piece.slice(prefix.length), number);
    });
    this.reach = longest(vocabulary);
  }

  cut(word) {
    const size = word.length;
    const whole = [[this.unknown, 0, size]];
    if (size > this.longest && Array.from(word).length > this.longest) return whole;
    const found = [];
    let known = this.first;
    for (let start = 0; start < size; known = this.inner) {
      let end = Math.min(size, start + this.reach);
      while (end > start && !known.has(word.slice(start, end))) end--;
      if (end === start) return whole;
      found.push([known.get(word.slice(start, end)), start, end]);
      start = end;
    }
    return found;
  }
}

/**
 * SentencePiece's: the cut of the largest sum of scores (Viterbi); unknown characters side by side are one.
 *
 * A word has a prefix in front of it, for the space it stands for, and is cut before each that it holds.
 */
class Unigram extends Pieces {
  constructor(reader, vocabulary, unknown) {
    super();
    this.prefix = reader.text();
    this.prepended = reader.number() === 1;
    this.unknown = unknown;
    this.scores = reader.floats();
    if (this.scores.length !== vocabulary.length) throw new RangeError("another number of scores than of pieces");
    this.pieces = new Map(vocabulary.map((piece, number) => [piece, number]));
    this.worst = this.scores.reduce((least, one) => Math.min(least, one), Infinity) - UNKNOWN;
    this.reach = longest(vocabulary);
  }

  cut(word) {
    const added = this.prepended && !word.startsWith(this.prefix) ? this.prefix.length : 0;
    const whole = added ? this.prefix + word : word;
    const found = [];
    for (let start = 0; start < whole.length; ) {
      let end = whole.indexOf(this.prefix, start + 1);
      if (end < 0) end = whole.length;
      for (const [number, first, behind] of this.#best(whole.slice(start, end))) {
        found.push([number, Math.max(0, start + first - added), Math.max(0, start + behind - added)]);
      }
      start = end;
    }
    return found;
  }

  #best(part) {
    const size = part.length;
    const sums = new Float64Array(size + 1);
    const came = new Int32Array(size + 1).fill(-1);
    const numbers = new Int32Array(size + 1);
    const reach = (end, start, score, number) => {
      const total = score + sums[start];
      if (came[end] < 0 || total > sums[end]) [sums[end], came[end], numbers[end]] = [total, start, number];
    };
    for (let start = 0, width; start < size; start += width) {
      width = part.codePointAt(start) > 0xffff ? 2 : 1;
      let alone = false;
      for (let end = start + 1; end <= Math.min(size, start + this.reach); end++) {
        const number = this.pieces.get(part.slice(start, end));
        if (number !== undefined) {
          reach(end, start, this.scores[number], number);
          alone ||= end === start + width;
        }
      }
      if (!alone) reach(start + width, start, this.worst, this.unknown);
    }
    const found = [];
    for (let end = size; end; end = came[end]) {
      const last = found.at(-1);
      if (last !== undefined && numbers[end] === this.unknown && last[0] === this.unknown) last[1] = came[end];
      else found.push([numbers[end], came[end], end]);
    }
    return found.reverse();
  }
}

function longest(vocabulary) {
  return vocabulary.reduce((most, piece) => Math.max(most, piece.length), 0);
}

/** The part of the table that tells pieces, by its kind. */
export function opened(reader, kind, vocabulary, unknown) {
  const model = [WordPiece, Unigram][kind];
  if (model === undefined) throw new RangeError("a model of an unknown kind");
  return new model(reader, vocabulary, unknown);
}
