package edgebert.core

import java.util.concurrent.ConcurrentHashMap

/** From a normalized word to its pieces. Words that were cut are remembered; safe for use by several threads. */
internal abstract class Pieces {
    private val known = ConcurrentHashMap<String, IntArray>()

    /** Add the pieces of a word to `into`: number, first UTF-16 unit, the one behind the last. */
    abstract fun cut(word: String, into: IntList)

    /** The numbers of a word's pieces. */
    fun numbers(word: String): IntArray {
        known[word]?.let { return it }
        val cut = IntList().also { cut(word, it) }
        val found = IntArray(cut.size / 3) { cut.values[3 * it] }
        if (word.length <= LONGEST) {
            if (known.size >= REMEMBERED) known.clear()
            known[word] = found
        }
        return found
    }

    companion object {
        private const val REMEMBERED = 20000
        private const val LONGEST = 40

        /** The table's part of a kind, 0 or 1. */
        fun opened(reader: TableReader, kind: Int, vocabulary: List<String>, unknown: Int): Pieces = when (kind) {
            0 -> WordPiece(reader, vocabulary, unknown)
            1 -> Unigram(reader, vocabulary, unknown)
            else -> throw IndexOutOfBoundsException()
        }
    }
}

/** BERT's: from the left, the longest piece that there is; a word with a part that is none is unknown. */
private class WordPiece(reader: TableReader, vocabulary: List<String>, private val unknown: Int) : Pieces() {
    private val longestWord = reader.number()
    private val first = HashMap<String, Int>(2 * vocabulary.size)
    private val inner = HashMap<String, Int>()
    private val reach = vocabulary.maxOfOrNull { it.length } ?: 0

    init {
        val prefix = reader.text()
        vocabulary.forEachIndexed { number, piece ->
            first[piece] = number
            if (piece.startsWith(prefix)) inner[piece.substring(prefix.length)] = number
        }
    }

    override fun cut(word: String, into: IntList) {
        val found = if (word.codePointCount(0, word.length) > longestWord) null else best(word)
        if (found != null) return into.addAll(found)
        into.addAll(intArrayOf(unknown, 0, word.length))
    }

    private fun best(word: String): IntArray? {
        val found = IntList(12)
        var start = 0
        var known = first
        while (start < word.length) {
            var end = minOf(word.length, start + reach)
            var number: Int? = null
            while (end > start) {
                number = known[word.substring(start, end)]
                if (number != null) break
                end--
            }
            found.add(number ?: return null)
            found.add(start)
            found.add(end)
            start = end
            known = inner
        }
        return found.toArray()
    }
}

/**
 * SentencePiece's: the cut of the largest sum of scores (Viterbi); unknown characters side by side are one.
 *
 * A word has `prefix` in front of it, for the space it stands for, and is cut before each that it holds.
 */
private class Unigram(reader: TableReader, vocabulary: List<String>, private val unknown: Int) : Pieces() {
    private val prefix = reader.text()
    private val prepended = reader.number() > 0
    private val scores = reader.floats(reader.number())
    private val worst = (scores.minOrNull() ?: 0.0) - UNKNOWN
    private val numbers = HashMap<String, Int>(2 * vocabulary.size)
    private val reach = vocabulary.maxOfOrNull { it.length } ?: 0

    init {
        if (prefix.isEmpty() || scores.size < vocabulary.size) throw IndexOutOfBoundsException()
        vocabulary.forEachIndexed { number, piece -> numbers[piece] = number }
    }

    override fun cut(word: String, into: IntList) {
        val added = if (prepended && !word.startsWith(prefix)) prefix.length else 0
        val whole = if (added > 0) prefix + word else word
        var start = 0
        while (start < whole.length) {
            val next = whole.indexOf(prefix, start + 1)
            val end = if (next < 0) whole.length else next
            for ((number, first, behind) in best(whole.substring(start, end))) {
                into.add(number)
                into.add(maxOf(0, start + first - added))
                into.add(maxOf(0, start + behind - added))
            }
            start = end
        }
    }

    private fun best(part: String): List<IntArray> {
        val sums = DoubleArray(part.length + 1)
        val came = IntArray(part.length + 1) { -1 }
        val chosen = IntArray(part.length + 1)
        fun reach(end: Int, start: Int, score: Double, number: Int) {
            val total = score + sums[start]
            if (came[end] < 0 || total > sums[end]) {
                sums[end] = total
                came[end] = start
                chosen[end] = number
            }
        }
        var start = 0
        while (start < part.length) {
            val next = start + Character.charCount(part.codePointAt(start))
            var alone = false
            for (end in next..minOf(part.length, start + reach)) {
                val number = numbers[part.substring(start, end)] ?: continue
                reach(end, start, scores[number], number)
                alone = alone || end == next
            }
            if (!alone) reach(next, start, worst, unknown)
            start = next
        }
        val found = ArrayList<IntArray>()
        var end = part.length
        while (end > 0) {
            val last = found.lastOrNull()
            if (last != null && chosen[end] == unknown && last[0] == unknown) {
                last[1] = came[end]
            } else {
                found.add(intArrayOf(chosen[end], came[end], end))
            }
            end = came[end]
        }
        return found.asReversed()
    }

    private companion object {
        const val UNKNOWN = 10.0 // what an unknown character scores below the rarest piece: kUnkPenalty
    }
}
