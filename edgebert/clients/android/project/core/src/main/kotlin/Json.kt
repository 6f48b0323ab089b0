package edgebert.core

/** JSON without a library: objects as maps in their order, arrays as lists, numbers as Double, Boolean, null. */
object Json {
    /** The value that a text holds. Throws [EdgeBertException.Damaged] where it is not JSON. */
    @JvmStatic
    fun parse(text: String): Any? = Parser(text).whole()

    /** A value as JSON on one line; numbers that JSON has no word for become null. */
    @JvmStatic
    fun write(value: Any?): String = StringBuilder().also { append(it, value) }.toString()

    private fun append(out: StringBuilder, value: Any?) {
        when (value) {
            null, is Boolean -> out.append(value)
            is Double -> if (value.isNaN() || value.isInfinite()) out.append("null") else out.append(value)
            is Number -> out.append(value)
            is Map<*, *> -> appendAll(out, '{', value.entries, '}') { (key, inner) ->
                quote(out, key.toString())
                out.append(": ")
                append(out, inner)
            }
            is Iterable<*> -> appendAll(out, '[', value, ']') { append(out, it) }
            else -> quote(out, value.toString())
        }
    }

    private fun <T> appendAll(out: StringBuilder, open: Char, all: Iterable<T>, close: Char, each: (T) -> Unit) {
        out.append(open)
        all.forEachIndexed { i, one ->
            if (i > 0) out.append(", ")
            each(one)
        }
        out.append(close)
    }

    private fun quote(out: StringBuilder, text: String) {
        out.append('"')
        for (char in text) {
            when {
                char == '"' || char == '\\' -> out.append('\\').append(char)
                char < ' ' || char.isSurrogate() || char == '\u2028' || char == '\u2029' ->
                    out.append("\\u").append(char.code.toString(16).padStart(4, '0'))
                else -> out.append(char)
            }
        }
        out.append('"')
    }

    private const val DEEPEST = 200 // levels, so that no file exhausts the stack

    private class Parser(private val text: String) {
        private var at = 0

        fun whole(): Any? {
            val found = value(0)
            space()
            return if (at == text.length) found else fail("something behind its end")
        }

        private fun value(depth: Int): Any? {
            if (depth > DEEPEST) fail("nested too deeply")
            space()
            return when (peek()) {
                '{' -> items('}', LinkedHashMap<String, Any?>()) {
                    space()
                    val key = string()
                    space()
                    expect(':')
                    it[key] = value(depth + 1)
                }
                '[' -> items(']', ArrayList<Any?>()) { it.add(value(depth + 1)) }
                '"' -> string()
                else -> word()
            }
        }

        private fun <T> items(close: Char, into: T, item: (T) -> Unit): T {
            at++
            space()
            if (peek() == close) {
                at++
                return into
            }
            while (true) {
                item(into)
                space()
                if (peek() == close) break
                expect(',')
            }
            at++
            return into
        }

        private fun string(): String {
            expect('"')
            val out = StringBuilder()
            while (true) {
                val char = next()
                when (char) {
                    '"' -> return out.toString()
                    '\\' -> out.append(escaped())
                    else -> out.append(char)
                }
            }
        }

        private fun escaped(): Char = when (val char = next()) {
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                if (at + 4 > text.length) fail("a cut escape")
                at += 4
                (text.substring(at - 4, at).toIntOrNull(16) ?: fail("a faulty escape")).toChar()
            }
            '"', '\\', '/' -> char
            else -> fail("a faulty escape")
        }

        private fun word(): Any? {
            val start = at
            while (at < text.length && (text[at].isLetterOrDigit() || text[at] in "+-.")) at++
            return when (val word = text.substring(start, at)) {
                "true" -> true
                "false" -> false
                "null" -> null
                else -> word.toDoubleOrNull() ?: fail("'${word.take(20)}', which is no value")
            }
        }

        private fun space() {
            while (at < text.length && text[at] in " \t\r\n") at++
        }

        private fun peek(): Char = if (at < text.length) text[at] else fail("an end too early")

        private fun next(): Char = peek().also { at++ }

        private fun expect(char: Char) {
            if (next() != char) fail("no '$char'")
        }

        private fun fail(what: String): Nothing =
            throw EdgeBertException.Damaged("not JSON: $what at character $at")
    }
}
