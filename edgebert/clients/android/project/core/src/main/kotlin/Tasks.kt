package edgebert.core

import kotlin.math.exp
import kotlin.math.tanh

/** What the model reads of a row, and how its outputs become the answer. */
internal interface Task {
    fun windows(row: Row): List<Window>

    /** The answer, from the outputs of each window by name, without the batch axis. */
    fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>): Answer

    companion object {
        private val KNOWN = mapOf<String, (Manifest, Tokenizer) -> Task>(
            "text-classification" to ::TextClassification,
            "sentence-pairs" to ::SentencePairs,
            "regression" to ::Regression,
            "token-classification" to ::TokenClassification,
            "question-answering" to ::QuestionAnswering,
            "feature-extraction" to ::FeatureExtraction,
        )

        /** The task of a bundle. Throws [EdgeBertException.UnsupportedTask]. */
        fun of(manifest: Manifest, tokenizer: Tokenizer): Task = KNOWN[manifest.task]?.invoke(manifest, tokenizer)
            ?: throw EdgeBertException.UnsupportedTask(
                "the bundle's task is ${manifest.task}; this client serves ${KNOWN.keys.joinToString(", ")}",
            )
    }
}

/** An output that a task reads. */
internal fun Map<String, Tensor>.output(name: String): Tensor =
    this[name] ?: throw EdgeBertException.ModelFailed("the model has no output '$name'; it has: ${keys.joinToString(", ")}")

/** Probabilities of logits, in double precision. */
internal fun softmax(logits: DoubleArray): DoubleArray {
    val top = logits.maxOrNull() ?: 0.0
    val shares = DoubleArray(logits.size) { exp(logits[it] - top) }
    val sum = shares.sum()
    return DoubleArray(logits.size) { shares[it] / sum }
}

internal fun FloatArray.doubles() = DoubleArray(size) { this[it].toDouble() }

/** The place of the largest, of several the first. */
internal fun DoubleArray.best(): Int {
    var best = 0
    for (i in indices) if (this[i] > this[best]) best = i
    return best
}

private class TextClassification(private val manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    private val labels = manifest.labels
    private val several = manifest.decoding.optional("multi_label") == true
    private val threshold = manifest.decoding.optional("threshold") as? Double
    private val thresholds = (manifest.decoding.optional("thresholds") as? List<*>)?.map { it as Double }

    override fun windows(row: Row) = listOf(tokenizer.window(row.text("text")))

    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>): Answer {
        val logits = outputs[0].output("logits").values.doubles()
        if (!several) return oneLabel(labels, logits, windows[0].truncated) { threshold?.let { limit -> it >= limit } }
        val shares = logits.map { 0.5 * (1 + tanh(0.5 * it)) } // no exponential that overflows
        val scored = labels.zip(shares) { label, share -> Scored(label, share) }
        val limits = thresholds?.takeIf { it.isNotEmpty() } ?: List(labels.size) { 0.5 }
        val holds = scored.filterIndexed { i, one -> one.score >= limits[i] }.sortedByDescending { it.score }
        return Labels(holds, scored.associate { it.label to it.score }, windows[0].truncated)
    }
}

private class SentencePairs(private val manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    override fun windows(row: Row) = listOf(tokenizer.window(row.text("text"), row.text("text_pair")))

    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>) =
        oneLabel(manifest.labels, outputs[0].output("logits").values.doubles(), windows[0].truncated) { null }
}

private class Regression(manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    private val pairs = manifest.decoding.optional("pairs") == true

    override fun windows(row: Row) =
        listOf(tokenizer.window(row.text("text"), if (pairs) row.text("text_pair") else null))

    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>) =
        Score(outputs[0].output("logits").values[0].toDouble(), windows[0].truncated)
}

private class FeatureExtraction(private val manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    private val columns = mapOf("text" to "query_prefix", "text_pair" to "passage_prefix")

    override fun windows(row: Row): List<Window> {
        val found = columns.filterKeys { row.has(it) }.map { (column, prefix) ->
            tokenizer.window(manifest.decoding.text(prefix) + row.text(column))
        }
        return found.ifEmpty { listOf(tokenizer.window(row.text("text"))) } // which tells that it is missing
    }

    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>): Answer {
        val vectors = outputs.map { it.output("sentence_embedding").values }
        val first = if (row.has("text")) vectors[0] else null
        val pair = if (row.has("text_pair")) vectors.last() else null
        return Vectors(first, pair, windows.any { it.truncated })
    }
}

private fun oneLabel(
    labels: List<String>,
    logits: DoubleArray,
    truncated: Boolean,
    inScope: (Double) -> Boolean?,
): Classification {
    val shares = softmax(logits)
    val best = shares.best()
    val scores = labels.zip(shares.toList()).toMap()
    return Classification(labels[best], shares[best], scores, inScope(shares[best]), truncated)
}
