package edgebert.cli

import edgebert.core.Answer
import edgebert.core.Classification
import edgebert.core.EdgeBert
import edgebert.core.EdgeBertException
import edgebert.core.Entities
import edgebert.core.Found
import edgebert.core.Json
import edgebert.core.Labels
import edgebert.core.OnnxModel
import edgebert.core.Options
import edgebert.core.Row
import edgebert.core.Runtime
import edgebert.core.Scored
import edgebert.core.Score
import edgebert.core.Span
import edgebert.core.Vectors
import java.io.File
import java.lang.management.ManagementFactory
import kotlin.system.exitProcess

private const val USAGE = "usage: BUNDLE [--threads N] [--bench] < LINES; a line is a text, or a JSON object of the task's columns"

/** Answers lines of standard input with a bundle's folder, a JSON object each; offsets in Unicode code points. */
fun main(arguments: Array<String>) {
    val options = arguments.toMutableList()
    val bench = options.remove("--bench")
    val at = options.indexOf("--threads")
    val threads = if (at < 0) 1 else options.getOrNull(at + 1)?.toIntOrNull() ?: usage()
    if (at >= 0) repeat(2) { options.removeAt(at) }
    if (options.size != 1 || threads < 1) usage()
    try {
        val runtimes = mapOf("onnx" to Runtime(OnnxModel::open))
        EdgeBert.open(File(options[0]), runtimes, Options(threads)).use { bert ->
            val lines = System.`in`.bufferedReader().readLines()
            if (bench) println(Json.write(measured(bert, lines))) else exitProcess(answers(bert, lines))
        }
    } catch (error: EdgeBertException) {
        System.err.println("edgebert: ${error.javaClass.simpleName}: ${error.message}")
        exitProcess(2)
    }
}

private fun usage(): Nothing {
    System.err.println(USAGE)
    exitProcess(2)
}

/** Print an answer a line, or what is wrong with it; the exit status. */
private fun answers(bert: EdgeBert, lines: List<String>): Int {
    var faults = 0
    val out = System.out.bufferedWriter()
    for (line in lines) {
        val told = try {
            val row = row(line)
            json(row, bert.answer(row), bert.manifest.task)
        } catch (error: EdgeBertException) {
            faults++
            mapOf("error" to error.javaClass.simpleName, "message" to error.message)
        }
        out.write(Json.write(told))
        out.newLine()
    }
    out.flush()
    return if (faults > 0) 2 else 0
}

private fun row(line: String): Row {
    val told = if (line.trimStart().startsWith("{")) runCatching { Json.parse(line) }.getOrNull() else null
    return if (told is Map<*, *>) Row(told.entries.associate { "${it.key}" to it.value }) else Row("text" to line)
}

/** An answer with the keys of `edgebert predict --json`. */
private fun json(row: Row, answer: Answer, task: String): Map<String, Any?> {
    val told = when (answer) {
        is Classification -> mapOf("label" to answer.label, "score" to answer.score, "scores" to answer.scores) +
            listOf("in_scope" to answer.inScope).filter { task == "text-classification" }
        is Labels -> mapOf("labels" to answer.labels.map { told(it) }, "scores" to answer.scores)
        is Score -> mapOf("score" to answer.score)
        is Entities -> mapOf(
            "entities" to answer.entities.map {
                val places = places(row.words(), it.start, it.end)
                mapOf("label" to it.label) + places + mapOf("text" to it.text, "score" to it.score)
            },
        )
        is Found -> told(row, answer.best) + mapOf("n_best" to answer.nBest.map { told(row, it) })
        is Vectors -> listOf("vector" to answer.vector, "pair_vector" to answer.pairVector)
            .filter { it.second != null }.associate { it.first to it.second?.toList() }
    }
    return told + mapOf("truncated" to answer.truncated)
}

private fun told(one: Scored) = mapOf("label" to one.label, "score" to one.score)

private fun told(row: Row, span: Span): Map<String, Any?> {
    val (start, end) = span.start to span.end
    val places = if (start == null || end == null) {
        mapOf("start" to null, "end" to null)
    } else {
        places(row.text("context"), start, end)
    }
    return mapOf("answer" to span.answer) + places + mapOf("score" to span.score)
}

/** Indexes of a String as code points. */
private fun places(text: String, start: Int, end: Int): Map<String, Int> =
    mapOf("start" to text.codePointCount(0, start), "end" to text.codePointCount(0, end))

/** How many of the texts are tokenized, and answered, in a second of this thread's time on the processor. */
private fun measured(bert: EdgeBert, texts: List<String>): Map<String, Any> {
    val clock = ManagementFactory.getThreadMXBean()
    fun seconds(once: (String) -> Unit): Double { // of one round, the mean over those of half a second
        val begin = clock.currentThreadCpuTime
        var rounds = 0
        while (clock.currentThreadCpuTime - begin < 500_000_000L) {
            texts.forEach(once)
            rounds++
        }
        return (clock.currentThreadCpuTime - begin) / 1e9 / rounds
    }
    fun rate(once: (String) -> Unit): Double {
        seconds(once) // until the virtual machine has compiled it
        return texts.size / seconds(once)
    }
    return mapOf(
        "texts" to texts.size,
        "tokenized_per_second" to rate { bert.tokenizer.encode(it) },
        "answered_per_second" to rate { bert.answer(row(it)) },
    )
}
