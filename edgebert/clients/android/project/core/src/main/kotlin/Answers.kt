package edgebert.core

/** The answer to one row; `truncated` says whether a text was cut because it is longer than the model reads. */
sealed interface Answer {
    val truncated: Boolean
}

/** A label and its probability. */
data class Scored(val label: String, val score: Double)

/**
 * The likeliest label, its probability [score], and those of all labels.
 *
 * [inScope] says whether the score reaches the out-of-scope threshold; null where the bundle has none.
 */
data class Classification(
    val label: String,
    val score: Double,
    val scores: Map<String, Double>,
    val inScope: Boolean?,
    override val truncated: Boolean,
) : Answer

/** All labels whose probability reaches their threshold, best first, and the probabilities of all. */
data class Labels(val labels: List<Scored>, val scores: Map<String, Double>, override val truncated: Boolean) : Answer

/** A number in the scale of the labels that the model was trained on. */
data class Score(val score: Double, override val truncated: Boolean) : Answer

/** An entity: `text` is that of the row from [start] to [end], in UTF-16 units (indexes of a Kotlin String). */
data class Entity(val label: String, val start: Int, val end: Int, val text: String, val score: Double)

/** The entities of a text, in its order. */
data class Entities(val entities: List<Entity>, override val truncated: Boolean) : Answer

/** A part of the context, from [start] to [end] in UTF-16 units; these are null where it is "no answer". */
data class Span(val answer: String, val start: Int?, val end: Int?, val score: Double)

/** The best span, and the others that came near. */
data class Found(val best: Span, val nBest: List<Span>, override val truncated: Boolean) : Answer

/** Vectors of the length 1: of the row's text, and of its `text_pair`; null where it has none. */
data class Vectors(val vector: FloatArray?, val pairVector: FloatArray?, override val truncated: Boolean) : Answer {
    override fun equals(other: Any?): Boolean = other is Vectors && truncated == other.truncated &&
        vector.contentEquals(other.vector) && pairVector.contentEquals(other.pairVector)

    override fun hashCode(): Int = 31 * vector.contentHashCode() + pairVector.contentHashCode()
}
