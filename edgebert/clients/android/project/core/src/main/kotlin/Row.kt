package edgebert.core

/** A row to answer: texts by the names of the task's columns. */
class Row(private val columns: Map<String, Any?>) {
    constructor(vararg columns: Pair<String, String>) : this(columns.toMap())

    fun has(column: String): Boolean = column in columns

    /** A text that a model can read. Throws [EdgeBertException.InvalidText]. */
    fun text(column: String): String {
        val found = columns[column] as? String ?: fail(column, "is missing")
        check(column, found)
        if (found.all { blank(it) }) fail(column, "is empty")
        return found
    }

    /** The row's text: its words joined by single spaces, where it is given as those. */
    fun words(): String {
        if (has("text") && !has("tags")) return text("text")
        val words = (columns["tokens"] as? List<*>)?.map { it as? String ?: fail("tokens", "must be words") }
        val whole = (words ?: fail("tokens", "is missing")).joinToString(" ")
        check("tokens", whole)
        if (whole.all { blank(it) }) fail("tokens", "are all empty")
        return whole
    }

    private fun check(column: String, text: String) {
        val faulty = text.indices.firstOrNull { i ->
            val pair = text[i].isHighSurrogate() && i + 1 < text.length && text[i + 1].isLowSurrogate()
            val rest = text[i].isLowSurrogate() && i > 0 && text[i - 1].isHighSurrogate()
            text[i].isSurrogate() && !pair && !rest
        }
        if (faulty != null) fail(column, "is not well-formed Unicode (lone surrogate at $faulty)")
    }

    private fun fail(column: String, what: String): Nothing = throw EdgeBertException.InvalidText("$column $what")
}

/** White space as Python has it, whatever the platform's Unicode data. */
internal fun blank(char: Char): Boolean = char in '\t'..'\r' || char in '\u001c'..' ' || char == '\u0085' ||
    char == '\u00a0' || char == '\u1680' || char in '\u2000'..'\u200a' || char == '\u2028' || char == '\u2029' ||
    char == '\u202f' || char == '\u205f' || char == '\u3000'

/** A range of a text without the white space at its ends; empty at its end where it holds nothing else. */
internal fun trimmed(text: String, start: Int, end: Int): IntRange {
    var first = start
    var behind = end
    while (first < behind && blank(text[first])) first++
    while (behind > first && blank(text[behind - 1])) behind--
    return first until behind
}
