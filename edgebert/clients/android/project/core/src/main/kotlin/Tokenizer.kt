package edgebert.core

/** Tokens of a window, the special ones around texts among them; offsets are UTF-16 units of their text. */
internal class Window(
    val ids: IntArray,
    val types: IntArray,
    val truncated: Boolean,
    val first: List<Piece>? = null, // where the tokens of the text are, or of the question; null where nobody asked
    val second: List<Piece>? = null,
)

/** A token of a text: its number, its first UTF-16 unit, the one behind the last, and its word. */
class Piece(val number: Int, val start: Int, val end: Int, val word: Int)

/**
 * The model's own tokenizer, token for token, from the bundle's `tokenizer.bin` and `vocab.txt`.
 *
 * Special tokens that stand in a text are themselves, as the model's own tokenizer has them. Texts are cut to
 * [maxTokens], [CLS] and [SEP] among them; of a pair the longer text gives way first. Safe for use by several threads.
 */
class Tokenizer(table: ByteArray, vocabulary: ByteArray, val maxTokens: Int) {
    private class Added(val text: String, val number: Int, val flags: Int)

    private val cls: Int
    private val sep: Int
    private val second: Int
    private val added: List<Added> // the longest first
    private val characters: Characters
    private val pieces: Pieces
    private val signs: Ranges

    init {
        try {
            val reader = TableReader(table)
            val listed = String(vocabulary, Charsets.UTF_8).split('\n').dropLast(1)
            val kind = reader.number()
            cls = reader.number()
            sep = reader.number()
            val unknown = reader.number()
            second = reader.number()
            val found = List(reader.count()) { Added(reader.text(), reader.number(), reader.number()) }
            added = found.sortedByDescending { it.text.codePointCount(0, it.text.length) }
            characters = Characters(reader)
            pieces = Pieces.opened(reader, kind, listed, unknown)
            signs = Ranges(reader)
            val count = maxOf(listed.size, found.maxOfOrNull { it.number + 1 } ?: 0)
            if (maxOf(cls, sep, unknown) >= count || added.any { it.text.isEmpty() }) throw IndexOutOfBoundsException()
        } catch (error: IndexOutOfBoundsException) {
            throw EdgeBertException.Damaged("is cut short, or damaged", error)
        }
    }

    /** Whether a code point is a punctuation mark or a symbol. */
    internal fun isSign(code: Int): Boolean = signs.at(code) >= 0

    /** Token ids of a text, or of a pair of texts, as the model reads them. */
    fun encode(text: String, pair: String? = null): IntArray = window(text, pair).ids

    internal fun window(text: String, pair: String? = null): Window {
        if (pair == null) {
            val room = maxTokens - 2
            val found = ids(text, room + 1)
            return around(found.copyOf(minOf(found.size, room)), null, found.size > room)
        }
        val first = ids(text) // of texts that both are too long, the longer gets more
        val other = ids(pair)
        val (keep, also) = kept(first.size, other.size, maxTokens - 3)
        return around(first.copyOf(keep), other.copyOf(also), keep + also < first.size + other.size)
    }

    /**
     * Token ids of a text of any length, in as many windows as it takes, each with the question before it.
     *
     * Neighbours share [stride] tokens of the text, but no more than half of what a window holds of it. A question of
     * more than half a window is cut, which alone is told as `truncated`.
     */
    internal fun windows(text: String, stride: Int, question: String? = null): List<Window> {
        val room = maxTokens - (if (question == null) 2 else 3)
        var asked = question?.let { placed(it) }
        var cut = false
        var left = question
        while (asked != null && left != null && asked.size > room / 2) {
            left = left.substring(0, asked[room / 2].start)
            asked = placed(left)
            cut = true
        }
        val held = room - (asked?.size ?: 0)
        val found = placed(text)
        val step = held - minOf(stride, held / 2)
        val windows = ArrayList<Window>()
        var start = 0
        while (windows.isEmpty() || start - step + held < found.size) {
            val part = found.subList(minOf(start, found.size), minOf(start + held, found.size))
            windows.add(if (asked == null) placed(part, null, cut) else placed(asked, part, cut))
            start += step
        }
        return windows
    }

    /** The first [most] tokens of a text, without special ones around it. */
    fun ids(text: String, most: Int = Int.MAX_VALUE): IntArray {
        val found = IntList(64)
        parts(text) { begin, end, number ->
            if (number != null) {
                found.add(number)
            } else {
                characters.read(text, begin, end) { word, _ ->
                    found.addAll(pieces.numbers(word))
                    found.size < most
                }
            }
            found.size < most
        }
        return found.toArray(most)
    }

    /** All tokens of a text with their places, without special ones around it. */
    fun placed(text: String): List<Piece> {
        val found = ArrayList<Piece>()
        val cut = IntList()
        var number = 0
        parts(text) { begin, end, special ->
            if (special != null) {
                found.add(Piece(special, begin, end, number++))
            } else {
                characters.read(text, begin, end) { word, places ->
                    cut.clear()
                    pieces.cut(word, cut)
                    for (i in 0 until cut.size step 3) {
                        val (first, behind) = cut.values[i + 1] to cut.values[i + 2]
                        val last = places[maxOf(first, behind - 1)]
                        val past = last + Character.charCount(text.codePointAt(last))
                        found.add(Piece(cut.values[i], places[first], past, number))
                    }
                    number++
                    true
                }
            }
            true
        }
        return found
    }

    /** Give `take` the text between added tokens (with null), and those (with their number), until it says false. */
    private inline fun parts(text: String, take: (begin: Int, end: Int, number: Int?) -> Boolean) {
        var behind = 0
        var at = 0
        while (at < text.length) {
            val token = added.firstOrNull { text.startsWith(it.text, at) }
            if (token == null) {
                at++
                continue
            }
            var begin = at
            var end = at + token.text.length
            at = end
            if (token.flags and WHOLE_WORD != 0 && inside(text, begin, end)) continue
            if (token.flags and LSTRIP != 0) while (begin > behind && text[begin - 1] in WHITE) begin--
            if (token.flags and RSTRIP != 0) while (end < text.length && text[end] in WHITE) end++
            if (behind < begin && !take(behind, begin, null)) return
            if (!take(begin, end, token.number)) return
            behind = end
        }
        if (behind < text.length) take(behind, text.length, null)
    }

    private fun placed(first: List<Piece>, second: List<Piece>?, cut: Boolean): Window {
        val bare = around(numbers(first), second?.let { numbers(it) }, cut)
        return Window(bare.ids, bare.types, cut, first, second)
    }

    private fun numbers(pieces: List<Piece>) = IntArray(pieces.size) { pieces[it].number }

    /** [CLS] text [SEP], or [CLS] text [SEP] second [SEP]. */
    private fun around(first: IntArray, other: IntArray?, truncated: Boolean): Window {
        val size = first.size + 2
        val whole = size + (if (other == null) 0 else other.size + 1)
        val ids = IntArray(whole) { sep }
        ids[0] = cls
        first.copyInto(ids, 1)
        other?.copyInto(ids, size)
        return Window(ids, IntArray(whole) { if (it < size) 0 else second }, truncated)
    }

    private companion object {
        const val LSTRIP = 1
        const val RSTRIP = 2
        const val WHOLE_WORD = 4
        const val WHITE = "\t\n\u000b\u000c\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007" +
            "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

        /** Whether a letter or digit touches a part of a text. */
        fun inside(text: String, begin: Int, end: Int): Boolean =
            (begin > 0 && letter(text.codePointBefore(begin))) || (end < text.length && letter(text.codePointAt(end)))

        fun letter(code: Int): Boolean = code == '_'.code || Character.isLetterOrDigit(code) ||
            Character.getType(code).toByte() in listOf(Character.LETTER_NUMBER, Character.OTHER_NUMBER)

        /** How many tokens of two texts are kept where both must fit: the shorter whole, if it takes half at most. */
        fun kept(first: Int, second: Int, room: Int): Pair<Int, Int> {
            if (first + second <= room) return first to second
            var short = minOf(first, second)
            var long = if (short > room) short else maxOf(short, room - short)
            if (short + long > room) {
                short = room / 2
                long = room / 2 + room % 2
            }
            return if (first > second) long to short else short to long
        }
    }
}
