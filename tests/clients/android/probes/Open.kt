package edgebert.tests

import android.content.FolderContext
import edgebert.android.open
import edgebert.core.EdgeBert
import edgebert.core.Json
import java.io.File

/** FILES FOLDER...: what becomes of opening each, a bundle's folder or an app's assets, a JSON object a line. */
fun main(arguments: Array<String>) {
    for ((i, path) in arguments.drop(1).withIndex()) {
        val folder = File(path)
        val told = try {
            val app = folder.resolve("edgebert").isDirectory
            val bert = if (app) EdgeBert.open(FolderContext(folder, File(arguments[0], "$i"))) else EdgeBert.open(folder)
            bert.use { mapOf("backend" to it.backend) }
        } catch (error: Exception) {
            mapOf("error" to error.javaClass.simpleName, "message" to error.message)
        }
        println(Json.write(told))
    }
}
