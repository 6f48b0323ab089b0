package edgebert.android

import android.content.Context
import edgebert.core.EdgeBertException
import edgebert.core.Json
import edgebert.core.Sha256
import edgebert.core.Source
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream

/**
 * The bundles in an app's assets, in the order of preference, as `edgebert/bundles.json` lists them with the size and
 * sha256 of their files.
 *
 * A runtime opens files by path and maps them; an asset has none. So a model is copied once to the app's no-backup
 * folder, under the bundle's digest, in blocks that never hold all of it, and its hash is checked on the way.
 */
internal class Assets(private val context: Context) {
    private val root = File(context.noBackupFilesDir, "edgebert")
    private val listed: List<Map<*, *>> by lazy {
        val list = Json.parse(String(open("bundles.json").use { it.readBytes() }, Charsets.UTF_8))
        (list as List<*>).map { it as Map<*, *> }
    }

    fun bundles(): List<Source> = listed.map { Bundle(it) }

    /** Delete the copies of bundles that an earlier version of the app held. */
    fun tidy() {
        val kept = listed.map { it["digest"] }
        root.listFiles().orEmpty().filter { it.name !in kept }.forEach { it.deleteRecursively() }
    }

    private fun open(asset: String): InputStream = try {
        context.assets.open("edgebert/$asset")
    } catch (error: IOException) {
        throw EdgeBertException.MissingFile("no asset edgebert/$asset in this app: ${error.message}", error)
    }

    private inner class Bundle(told: Map<*, *>) : Source {
        private val folder = told["folder"].toString()
        private val digest = told["digest"].toString()
        private val files = told["files"] as Map<*, *>
        override val name: String get() = folder

        override fun bytes(file: String): ByteArray {
            val found = open("$folder/$file").use { it.readBytes() }
            check(file, Sha256.of(ByteArrayInputStream(found)))
            return found
        }

        override fun path(file: String): File = synchronized(LOCK) {
            val place = File(File(root, digest), file)
            if (place.length().toDouble() == fact(file, "bytes")) return place
            val folder = place.parentFile!!
            if (!folder.isDirectory && !folder.mkdirs()) throw EdgeBertException.MissingFile("$folder: cannot be made")
            val part = File.createTempFile(place.name, ".part", folder)
            try {
                val found = open("${this.folder}/$file").use { from -> FileOutputStream(part).use { Sha256.of(from, it) } }
                check(file, found)
                if (!part.renameTo(place)) throw IOException("cannot be renamed")
            } catch (error: IOException) {
                throw EdgeBertException.MissingFile("$place: ${error.message}", error)
            } finally {
                part.delete()
            }
            return place
        }

        private fun fact(file: String, key: String): Any? = (files[file] as? Map<*, *>)?.get(key)

        private fun check(file: String, found: String) {
            if (found != fact(file, "sha256")) {
                throw EdgeBertException.Damaged("asset edgebert/$folder/$file: cut short, or changed (sha256 differs)")
            }
        }
    }

    private companion object {
        val LOCK = Any()
    }
}
