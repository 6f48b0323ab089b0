package edgebert.tests

import edgebert.core.Tokenizer
import java.io.File

private fun unhex(text: String): String =
    String(ByteArray(text.length / 2) { text.substring(2 * it, 2 * it + 2).toInt(16).toByte() }, Charsets.UTF_8)

/**
 * FOLDER FILE [MAX [PLACES]]: ids of the texts in a file, a line each of hex(UTF-8)[TAB hex(pair)], without special
 * tokens where there is no MAX; with PLACES, each token as number:first code point:the one behind the last:word.
 */
fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val most = arguments.getOrNull(2)?.toInt()
    val (table, pieces) = folder.resolve("tokenizer.bin").readBytes() to folder.resolve("vocab.txt").readBytes()
    val tokenizer = Tokenizer(table, pieces, most ?: 512)
    val out = System.out.bufferedWriter()
    File(arguments[1]).forEachLine { line ->
        val texts = line.split('\t').map { unhex(it) }
        val told = when {
            arguments.size > 3 -> tokenizer.placed(texts[0]).joinToString(" ") {
                val (start, end) = texts[0].codePointCount(0, it.start) to texts[0].codePointCount(0, it.end)
                "${it.number}:$start:$end:${it.word}"
            }
            most == null -> tokenizer.ids(texts[0]).joinToString(" ")
            else -> tokenizer.encode(texts[0], texts.getOrNull(1)).joinToString(" ")
        }
        out.write(told)
        out.newLine()
    }
    out.flush()
}
