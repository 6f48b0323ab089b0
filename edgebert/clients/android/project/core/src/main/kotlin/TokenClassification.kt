package edgebert.core

import kotlin.math.ln

/** Entities from the tags of words; a word is decided by its first piece. Texts of any length, in windows. */
internal class TokenClassification(private val manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    private val stride = manifest.decoding.number("doc_stride").toInt()
    private val formed = manifest.decoding.optional("well_formed") != false
    private val parts = manifest.labels.map { it.substringBefore('-') to it.substringAfter('-', "") }

    /** A word of the text, the part of the window around it, and what the model says of it there. */
    private class Read(val start: Int, val end: Int, val around: Int, val logits: FloatArray)

    override fun windows(row: Row) = tokenizer.windows(row.words(), stride)

    /** A word in two windows is read in the one that shows more around it. */
    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>): Answer {
        val text = row.words()
        val words = wordsOf(text, windows)
        val read = sortedMapOf<Int, Read>()
        for ((window, output) in windows.zip(outputs)) {
            val logits = output.output("logits")
            val first = HashMap<Int, Int>() // the position of the first piece that starts at a place
            for ((position, range) in piecesOf(text, window)) first.getOrPut(range.first) { position }
            for ((start, end) in words) {
                val position = first[start] ?: continue
                val around = minOf(position, logits.shape[0] - 1 - position)
                if (around > (read[start]?.around ?: -1)) read[start] = Read(start, end, around, logits.row(position))
            }
        }
        return Entities(entities(text, read.values.toList()), windows.any { it.truncated })
    }

    private fun entities(text: String, words: List<Read>): List<Entity> {
        if (words.isEmpty()) return emptyList()
        val shares = words.map { softmax(it.logits.doubles()) }
        val best = if (formed) wellFormed(shares) else IntArray(words.size) { shares[it].best() }
        return chunks(best).map { (slot, first, last) ->
            val sure = (first..last).sumOf { shares[it][best[it]] } / (last - first + 1)
            val (start, end) = words[first].start to words[last].end
            Entity(slot, start, end, text.substring(start, end), sure)
        }
    }

    /** conlleval's rule: an entity goes on where I or E follows B or I of its slot; every other tag but O begins one. */
    private fun chunks(tags: IntArray): List<Triple<String, Int, Int>> {
        val found = ArrayList<Triple<String, Int, Int>>()
        var before = "O" to ""
        tags.forEachIndexed { i, tag ->
            val (kind, slot) = parts[tag]
            val goesOn = (kind == "I" || kind == "E") && (before == "B" to slot || before == "I" to slot)
            if (goesOn) {
                found[found.size - 1] = Triple(slot, found.last().second, i)
            } else if (kind != "O") {
                found.add(Triple(slot, i, i))
            }
            before = kind to slot
        }
        return found
    }

    /** The most probable tags in which I- and E- follow B- or I- of their slot (Viterbi), all other steps alike. */
    private fun wellFormed(shares: List<DoubleArray>): IntArray {
        val none = Double.NEGATIVE_INFINITY
        val inner = parts.map { (kind, slot) -> (kind == "I" || kind == "E") && "B-$slot" in manifest.labels }
        fun opens(from: Int, slot: String) = parts[from].let { (kind, it) -> (kind == "B" || kind == "I") && it == slot }
        val logs = shares.map { row -> DoubleArray(row.size) { ln(maxOf(row[it], java.lang.Double.MIN_NORMAL)) } }
        var path = DoubleArray(parts.size) { if (inner[it]) none else logs[0][it] }
        val back = ArrayList<IntArray>()
        for (row in logs.drop(1)) {
            val came = IntArray(parts.size)
            val next = DoubleArray(parts.size) { to ->
                val reached = DoubleArray(parts.size) { from ->
                    if (inner[to] && !opens(from, parts[to].second)) none else path[from]
                }
                came[to] = reached.best()
                reached[came[to]] + row[to]
            }
            back.add(came)
            path = next
        }
        val found = IntArray(shares.size)
        found[shares.size - 1] = path.best()
        for (i in shares.size - 2 downTo 0) found[i] = back[i][found[i + 1]]
        return found
    }

    /** Position among the window's tokens, and place in the text, of pieces that are more than white space. */
    private fun piecesOf(text: String, window: Window): List<Pair<Int, IntRange>> =
        window.first.orEmpty().mapIndexed { i, piece -> i + 1 to trimmed(text, piece.start, piece.end) }
            .filter { !it.second.isEmpty() }

    /**
     * The words of a text. One begins where the model's splitter says so, and at and after every punctuation mark
     * or symbol; but an underscore parts nothing.
     */
    private fun wordsOf(text: String, windows: List<Window>): List<Pair<Int, Int>> {
        val words = ArrayList<Pair<Int, Int>>()
        var read = 0
        var before = -1
        for (window in windows) {
            for ((position, range) in piecesOf(text, window)) {
                val end = range.last + 1
                if (end <= read) continue // in the window before too, or one of several pieces of one character
                val number = window.first!![position - 1].word
                val last = words.lastOrNull()
                if (last != null && goesOn(text, range.first, last.second, number == before)) {
                    words[words.size - 1] = last.first to end
                } else {
                    words.add(range.first to end)
                }
                read = end
                before = number
            }
        }
        return words
    }

    private fun goesOn(text: String, start: Int, end: Int, whole: Boolean): Boolean {
        if (start == 0) return whole && !tokenizer.isSign(text.codePointAt(0))
        val (left, right) = text.codePointBefore(start) to text.codePointAt(start)
        if (start == end && (left == '_'.code || right == '_'.code)) return true
        return whole && !tokenizer.isSign(left) && !tokenizer.isSign(right)
    }
}
