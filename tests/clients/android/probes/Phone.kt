package edgebert.tests

import androidx.test.platform.app.InstrumentationRegistry
import edgebert.android.GoldenTest
import edgebert.android.open
import edgebert.core.Classification
import edgebert.core.EdgeBert
import edgebert.core.EdgeBertException
import edgebert.core.Json
import edgebert.core.Options
import edgebert.core.Row
import java.lang.reflect.InvocationTargetException
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import org.junit.Test

/** The app's assets opened as the app does it, lines of standard input answered; or with "golden" its test's methods. */
fun main(arguments: Array<String>) {
    val told = try {
        if (arguments.contains("golden")) golden() else phone()
    } catch (error: EdgeBertException) {
        mapOf("error" to error.javaClass.simpleName, "message" to error.message)
    }
    println(Json.write(told))
}

private fun phone(): Map<String, Any?> {
    val context = InstrumentationRegistry.getInstrumentation().targetContext
    val texts = System.`in`.bufferedReader().readLines()
    val bert = EdgeBert.open(context, Options(threads = 1))
    val pool = Executors.newFixedThreadPool(4)
    val answers = texts.map { pool.submit(Callable { bert.answer(Row("text" to it)) }) }.map { it.get() }
    pool.shutdown()
    bert.close()
    val after = runCatching { bert.answer(Row("text" to "late")) }.exceptionOrNull()?.javaClass?.simpleName
    val labels = answers.map { it as Classification }.map { mapOf("label" to it.label, "score" to it.score) }
    return mapOf("backend" to bert.backend, "passed_over" to bert.passedOver, "after" to after, "answers" to labels)
}

private fun golden(): Map<String, Any?> {
    val tests = GoldenTest::class.java.methods.filter { it.isAnnotationPresent(Test::class.java) }
    return tests.associate { method ->
        method.name to try {
            method.invoke(GoldenTest()).let { "passed" }
        } catch (error: InvocationTargetException) {
            "${error.targetException}"
        }
    }
}
