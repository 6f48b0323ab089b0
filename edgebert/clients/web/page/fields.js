/** What is typed, by task: the columns of a row, with the lines that a field has. */
const TEXT = { name: "text", label: "Text", lines: 4 };
const PAIR = { name: "text_pair", label: "Second text", lines: 4 };

export const FIELDS = {
  "text-classification": () => [TEXT],
  "token-classification": () => [TEXT],
  "sentence-pairs": () => [{ ...TEXT, label: "First text" }, PAIR],
  regression: ({ decoding }) => (decoding.pairs ? [{ ...TEXT, label: "First text" }, PAIR] : [TEXT]),
  "feature-extraction": () => [TEXT, { ...PAIR, label: "Text to compare with", optional: true }],
  "question-answering": () => [
    { name: "question", label: "Question", lines: 1 },
    { name: "context", label: "Text that may answer it", lines: 10 },
  ],
};
