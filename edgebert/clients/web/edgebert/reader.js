import { BundleError } from "./errors.js";

const MAGIC = "EBTK";
const VERSION = 1;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Numbers and texts of `tokenizer.bin`, one after the other. Throws RangeError where the file ends too soon. */
export class Reader {
  /** @param {Uint8Array} data  the file. Throws BundleError for another kind of file, or a newer one. */
  constructor(data) {
    if (data.length < 5 || String.fromCharCode(...data.subarray(0, 4)) !== MAGIC) {
      throw new BundleError("tokenizer.bin is not a tokenizer's table");
    }
    if (data[4] > VERSION) {
      throw new BundleError(`tokenizer.bin is of version ${data[4]}; this client reads ${VERSION}`);
    }
    this.data = data;
    this.at = 5;
  }

  /** An unsigned number: seven bits a byte, the lowest first. */
  number() {
    let found = 0;
    for (let unit = 1; ; unit *= 128) {
      if (this.at >= this.data.length) throw new RangeError("cut short");
      const byte = this.data[this.at++];
      found += (byte & 127) * unit;
      if (byte < 128) {
        if (!Number.isSafeInteger(found)) throw new RangeError("a number is too large");
        return found;
      }
    }
  }

  /** A signed number: its sign in the lowest bit. */
  signed() {
    return signed(this.number());
  }

  /** A text in UTF-8, its length before it. */
  text() {
    return utf8.decode(this.bytes(this.number()));
  }

  /** @returns {Uint8Array} as many bytes. */
  bytes(count) {
    if (this.at + count > this.data.length) throw new RangeError("cut short");
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  /** Numbers of four bytes each, or of eight. */
  floats() {
    const count = this.number();
    const width = this.number();
    const bytes = this.bytes(width * count);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Float64Array.from({ length: count }, (_, i) =>
      width === 4 ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true),
    );
  }
}

export function signed(number) {
  return number % 2 ? -(number + 1) / 2 : number / 2;
}
