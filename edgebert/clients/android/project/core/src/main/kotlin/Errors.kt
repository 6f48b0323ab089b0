package edgebert.core

/** What can go wrong, by type; the message names the file or text, what is wrong with it, and what mends it. */
sealed class EdgeBertException(message: String, cause: Throwable? = null) : Exception(message, cause) {
    /** A text that no model can read: empty, or with half of a surrogate pair. */
    class InvalidText(message: String) : EdgeBertException(message)

    /** A file or an asset is not there. */
    class MissingFile(message: String, cause: Throwable? = null) : EdgeBertException(message, cause)

    /** A file is cut short, was changed, or is of another kind. */
    class Damaged(message: String, cause: Throwable? = null) : EdgeBertException(message, cause)

    /** The bundle, or its tokenizer's table, is of a schema that came after this client. */
    class NewerBundle(message: String) : EdgeBertException(message)

    /** The bundle's task is another than the one asked for, or one that this client does not serve. */
    class UnsupportedTask(message: String) : EdgeBertException(message)

    /** The runtime is missing, cannot load the model file, or failed to run it. */
    class ModelFailed(message: String, cause: Throwable? = null) : EdgeBertException(message, cause)

    /** It was closed before. */
    class Closed : EdgeBertException("this EdgeBert was closed; open another")
}
