package edgebert.android

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import edgebert.core.EdgeBert
import edgebert.core.EdgeBertException
import edgebert.core.Json
import edgebert.core.Row
import edgebert.core.Tensor
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** Replays the bundle's golden rows on this phone: the same token ids, and outputs within each row's tolerance. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()

    private fun rows(bert: EdgeBert): List<Map<*, *>> {
        val asset = "golden/${bert.manifest.target}.jsonl" // of this test's own assets, not of the app's
        val lines = instrumentation.context.assets.open(asset).use { it.reader().readLines() }
        return lines.map { Json.parse(it) as Map<*, *> }
    }

    private fun numbers(told: Any?): List<Double> =
        if (told is List<*>) told.flatMap { numbers(it) } else listOf(told as Double)

    private fun ids(told: Any?): IntArray = numbers(told).map { it.toInt() }.toIntArray()

    @Test
    fun everyGoldenRowGivesTheRecordedOutputs() {
        EdgeBert.open(instrumentation.targetContext).use { bert ->
            val worst = rows(bert).map { row ->
                val fed = row["ids"] as Map<*, *>
                val given = ids(fed["input_ids"])
                val found = bert.outputs(given, fed["token_type_ids"]?.let { ids(it) } ?: IntArray(given.size))
                gap(row, found) / row["tolerance"] as Double
            }
            assertTrue("rows: ${worst.size}, ${bert.backend}", worst.isNotEmpty())
            assertEquals("rows beyond their tolerance on ${bert.backend}", 0, worst.count { !(it <= 1) })
        }
    }

    @Test
    fun everyGoldenTextGivesTheRecordedTokens() {
        EdgeBert.open(instrumentation.targetContext).use { bert ->
            val texts = rows(bert).filter { (it["inputs"] as Map<*, *>).keys == setOf("text") }
            val prefix = bert.manifest.queryPrefix
            for (row in texts) {
                val text = (row["inputs"] as Map<*, *>)["text"] as String
                val wanted = ids((row["ids"] as Map<*, *>)["input_ids"])
                assertEquals(text, wanted.toList(), bert.tokenizer.encode(prefix + text).toList())
            }
        }
    }

    @Test
    fun badTextsAreTypedErrors() {
        EdgeBert.open(instrumentation.targetContext).use { bert ->
            for (text in listOf("", " \n", "lone \ud800 surrogate")) {
                val row = Row("text" to text, "text_pair" to text, "question" to text, "context" to text)
                val told = runCatching { bert.answer(row) }.exceptionOrNull()
                assertTrue("$told", told is EdgeBertException.InvalidText)
            }
        }
    }

    /** The largest difference from the recorded outputs; long ones are recorded in part, at the places in `at`. */
    private fun gap(row: Map<*, *>, found: Map<String, Tensor>): Double {
        val at = row["at"] as? Map<*, *> ?: emptyMap<String, Any>()
        return (row["outputs"] as Map<*, *>).entries.maxOf { (name, told) ->
            val values = found.getValue(name as String).values
            val places = at[name]?.let { ids(it) } ?: values.indices.toList().toIntArray()
            val wanted = numbers(told)
            assertEquals("numbers of $name", wanted.size, places.size)
            places.indices.maxOf { abs(values[places[it]] - wanted[it]) }
        }
    }
}
