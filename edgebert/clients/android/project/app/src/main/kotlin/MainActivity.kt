package edgebert.app

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import edgebert.android.open
import edgebert.core.EdgeBert
import edgebert.core.EdgeBertException
import edgebert.core.Row
import java.util.concurrent.Executors

/** A text field, a button and the answer, with the time it took and what ran it. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor() // opening and asking are not for the main thread
    private var bert: EdgeBert? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val texts = COLUMNS.map { column -> EditText(this).also { it.hint = column } }
        val button = Button(this).also { it.text = "Ask" }
        val told = TextView(this).also { it.text = "opening" }
        val page = LinearLayout(this).also { it.orientation = LinearLayout.VERTICAL }
        page.fitsSystemWindows = true
        (texts + button + told).forEach { page.addView(it) }
        setContentView(page)
        button.isEnabled = false
        worker.execute {
            val opened = attempt { EdgeBert.open(this).also { bert = it }.let { "ready: ${it.backend}" } }
            runOnUiThread {
                told.text = opened
                button.isEnabled = bert != null
            }
        }
        button.setOnClickListener {
            val row = Row(COLUMNS.zip(texts) { column, text -> column to text.text.toString() }.toMap())
            worker.execute {
                val answer = attempt { ask(row) }
                runOnUiThread { told.text = answer }
            }
        }
    }

    private fun ask(row: Row): String {
        val open = bert ?: return "not open"
        val begin = System.nanoTime()
        val answer = open.answer(row)
        return "$answer\n\n${(System.nanoTime() - begin) / 1_000_000} ms, ${open.backend}"
    }

    private fun attempt(what: () -> String): String = try {
        what()
    } catch (error: EdgeBertException) {
        "${error.javaClass.simpleName}: ${error.message}"
    }

    override fun onDestroy() {
        worker.execute { bert?.close() }
        worker.shutdown()
        super.onDestroy()
    }
}
