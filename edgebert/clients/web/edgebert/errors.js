/**
 * What can go wrong, a class each:
 *
 *   EdgeBertError
 *     TextError          a text is empty, ill-formed or missing: the caller mends it
 *     BundleError        a file of the bundle is missing, cut short or not what it should be
 *       UnsupportedError   the bundle is newer than this client, or of a task that it does not serve
 *     ModelError         the runtime cannot load or run the model; `cause` has the runtime's own error
 *     ClosedError        the bundle was closed
 */
export class EdgeBertError extends Error {
  get name() {
    return this.constructor.name;
  }
}

export class TextError extends EdgeBertError {}
export class BundleError extends EdgeBertError {}
export class UnsupportedError extends BundleError {}
export class ModelError extends EdgeBertError {}
export class ClosedError extends EdgeBertError {}
