package edgebert.core

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.security.MessageDigest

/** Where the files of a bundle are. */
interface Source {
    /** What the bundle is called in messages. */
    val name: String

    /** A small file, whole. */
    fun bytes(file: String): ByteArray

    /** A file on disk, to be opened by its path. */
    fun path(file: String): File
}

/**
 * A bundle's folder, as it was built or downloaded: files that its SHA256SUMS lists are checked against it when
 * they are first read.
 */
class FolderSource(private val folder: File) : Source {
    override val name: String = folder.path
    private val sums: Map<String, String> by lazy {
        val lines = folder.resolve("SHA256SUMS").takeIf { it.isFile }?.readLines().orEmpty()
        lines.associate { it.substringAfter("  ") to it.substringBefore("  ") }
    }

    override fun bytes(file: String): ByteArray {
        val found = path(file)
        return try {
            found.readBytes()
        } catch (error: IOException) {
            throw EdgeBertException.MissingFile("$found: cannot be read: ${error.message}", error)
        }
    }

    override fun path(file: String): File {
        val found = folder.resolve(file)
        if (".." in file.split('/') || !found.isFile) throw EdgeBertException.MissingFile("$found: no such file")
        val wanted = sums[file]
        if (wanted != null && found.inputStream().use { Sha256.of(it) } != wanted) {
            throw EdgeBertException.Damaged("$found: cut short, or changed after the bundle was made (sha256 differs)")
        }
        return found
    }
}

/** SHA-256 of a stream, read in blocks. */
object Sha256 {
    /** The hash in hexadecimal; what is read is written to `copy` too. */
    @JvmStatic
    fun of(stream: InputStream, copy: OutputStream? = null): String {
        val state = MessageDigest.getInstance("SHA-256")
        val block = ByteArray(1 shl 16)
        while (true) {
            val size = stream.read(block)
            if (size < 0) break
            state.update(block, 0, size)
            copy?.write(block, 0, size)
        }
        return state.digest().joinToString("") { (it.toInt() and 255 or 256).toString(16).substring(1) }
    }
}
