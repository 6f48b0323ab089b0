/** Probabilities, in double precision. */

/** Probabilities of logits. */
export function softmax(logits) {
  let most = -Infinity;
  for (const one of logits) most = Math.max(most, one);
  const raised = Array.from(logits, (one) => Math.exp(one - most));
  const sum = raised.reduce((total, one) => total + one, 0);
  return raised.map((one) => one / sum);
}

/** The probability of a logit by itself; no exponential that overflows. */
export function sigmoid(logit) {
  return 0.5 * (1 + Math.tanh(0.5 * logit));
}

/** The place of the largest number, the first of equals. */
export function best(numbers) {
  let found = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[found]) found = i;
  return found;
}

/** For sorting: larger logits first. */
export function byLogit(one, other) {
  return one.logit === other.logit ? 0 : other.logit - one.logit;
}
