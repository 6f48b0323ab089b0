package edgebert.core

/** Takes the normalized words of a text in order. */
internal fun interface WordSink {
    /** A word, and where in the text each of its UTF-16 units comes from (valid during the call); false: enough. */
    fun take(word: String, places: IntArray): Boolean
}

/**
 * What the model's normalizer and splitter make of text, code point by code point, from the table.
 *
 * The table was filled by the model's own tokenizer: the platform's Unicode data are never asked.
 */
internal class Characters(reader: TableReader) {
    private val replaced = List(reader.count()) { codes(reader.text()) to codes(reader.text()) }
    private val swallowed = HashSet<Long>()
    private val kinds = IntList()
    private val payloads = IntList() // of a range that is spelled: where its first code point is in `spelled`
    private val spelled = ArrayList<IntArray>() // for each code point what becomes of it: 4 * code point + what it is
    private val ranges: Ranges
    private val low: IntArray // the ranges of the first code points, -1 where in none

    init {
        repeat(reader.count()) { swallowed.add(both(reader.number(), reader.number())) }
        ranges = Ranges(reader) { _, start, behind -> range(reader, start, behind) }
        low = IntArray(LOW) { ranges.at(it) }
    }

    private fun range(reader: TableReader, start: Int, behind: Int) {
        val kind = reader.number()
        val payload = when (kind) {
            ALONE, SHIFTED -> reader.signed()
            MARK -> reader.number()
            SPELLED -> spelled.size
            else -> 0
        }
        val moved = kind == ALONE || kind == SHIFTED
        if (moved && (start + payload < 0 || behind + payload > Ranges.CODES)) throw IndexOutOfBoundsException()
        if (kind == SPELLED) for (code in start until behind) spelled.add(outputs(reader, code))
        kinds.add(kind)
        payloads.add(payload)
    }

    private fun outputs(reader: TableReader, code: Int) = IntArray(reader.count()) {
        val packed = reader.number()
        val other = code + TableReader.unpacked(packed shr 2)
        if (other !in 0 until Ranges.CODES) throw IndexOutOfBoundsException()
        4 * other + (packed and 3)
    }

    /** Hand the words of a part of a text to `sink`; false where it wanted no more. */
    fun read(text: String, begin: Int, end: Int, sink: WordSink): Boolean {
        val words = Words(sink)
        if (replaced.isEmpty()) {
            var at = begin
            while (at < end) {
                val code = text.codePointAt(at)
                if (!character(code, at, words)) return false
                at += Character.charCount(code)
            }
            return words.end()
        }
        val (codes, places) = replaced(text, begin, end)
        for (i in codes.indices) if (!character(codes[i], places[i], words)) return false
        return words.end()
    }

    private fun character(code: Int, place: Int, words: Words): Boolean {
        val range = if (code < LOW) low[code] else ranges.at(code)
        val kind = if (range < 0) ITSELF else kinds.values[range]
        if (kind == DROPPED) return true
        val gone = swallowed.isNotEmpty() && both(words.before, code) in swallowed
        words.before = code
        if (gone) return true
        when (kind) {
            ITSELF -> words.letter(code, place)
            SPACE -> return words.end()
            ALONE -> return words.alone(code + payloads.values[range], place)
            SHIFTED -> words.letter(code + payloads.values[range], place)
            BREAKS -> words.flush()
            MARK -> words.mark(payloads.values[range], code, place)
            HANGUL -> hangul(code, place, words)
            SPELLED -> for (output in spelled[payloads.values[range] + code - ranges.starts[range]]) {
                val other = output shr 2
                val more = when (output and 3) {
                    0 -> words.letter(other, place)
                    1 -> words.end()
                    2 -> words.alone(other, place)
                    else -> words.mark(order(other), other, place)
                }
                if (!more) return false
            }
        }
        return true
    }

    /** The letters of a Hangul syllable (Unicode, section 3.12). */
    private fun hangul(code: Int, place: Int, words: Words) {
        val number = code - 0xAC00
        words.letter(0x1100 + number / (21 * 28), place)
        words.letter(0x1161 + number % (21 * 28) / 28, place)
        if (number % 28 > 0) words.letter(0x11A7 + number % 28, place)
    }

    /** The code points of a part of a text and their places, after what is replaced before all else. */
    private fun replaced(text: String, begin: Int, end: Int): Pair<IntArray, IntArray> {
        var codes = codes(text, begin, end)
        var places = IntArray(codes.size)
        var place = begin
        for (i in codes.indices) {
            places[i] = place
            place += Character.charCount(codes[i])
        }
        for ((pattern, other) in replaced) {
            var hit = find(codes, pattern, 0)
            if (hit < 0) continue
            val made = IntList(codes.size)
            val from = IntList(codes.size)
            var at = 0
            while (hit >= 0) {
                for (i in at until hit) made.add(codes[i]).also { from.add(places[i]) }
                for (one in other) made.add(one).also { from.add(places[hit + pattern.size - 1]) }
                at = hit + pattern.size
                hit = find(codes, pattern, at)
            }
            for (i in at until codes.size) made.add(codes[i]).also { from.add(places[i]) }
            codes = made.toArray()
            places = from.toArray()
        }
        return codes to places
    }

    private fun order(mark: Int): Int = ranges.at(mark).let { if (it < 0) 0 else payloads.values[it] }

    /** The word that is being read: its letters, their places, and marks that wait for their order. */
    private class Words(private val sink: WordSink) {
        var before = -1 // the character before this one, dropped ones apart
        private val word = StringBuilder()
        private val places = IntList()
        private val marks = ArrayList<IntArray>(0) // order, code point, place

        fun letter(code: Int, place: Int): Boolean {
            if (marks.isNotEmpty()) flush()
            append(code, place)
            return true
        }

        fun alone(code: Int, place: Int): Boolean {
            if (!end()) return false
            append(code, place)
            return end()
        }

        fun mark(order: Int, code: Int, place: Int): Boolean = marks.add(intArrayOf(order, code, place))

        /** Marks side by side, in their order; those of one order stay as they are. */
        fun flush() {
            if (marks.isEmpty()) return
            marks.sortBy { it[0] }
            for ((_, code, place) in marks) append(code, place)
            marks.clear()
        }

        fun end(): Boolean {
            flush()
            if (word.isEmpty()) return true
            val more = sink.take(word.toString(), places.values)
            word.setLength(0)
            places.clear()
            return more
        }

        private fun append(code: Int, place: Int) {
            places.add(place)
            if (code >= 0x10000) places.add(place)
            word.appendCodePoint(code)
        }
    }

    private companion object {
        const val LOW = 0x300
        const val ITSELF = -1
        const val SPACE = 0
        const val ALONE = 1
        const val DROPPED = 2
        const val BREAKS = 3
        const val SHIFTED = 4
        const val SPELLED = 5
        const val HANGUL = 6
        const val MARK = 7

        fun both(first: Int, second: Int): Long = (first.toLong() shl 32) or second.toLong()

        fun codes(text: String, begin: Int = 0, end: Int = text.length): IntArray {
            val found = IntList(end - begin + 1)
            var at = begin
            while (at < end) {
                val code = text.codePointAt(at)
                found.add(code)
                at += Character.charCount(code)
            }
            return found.toArray()
        }

        fun find(codes: IntArray, pattern: IntArray, from: Int): Int {
            for (at in from..codes.size - pattern.size) {
                var same = 0
                while (same < pattern.size && codes[at + same] == pattern[same]) same++
                if (same == pattern.size) return at
            }
            return -1
        }
    }
}
