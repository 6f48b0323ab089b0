package edgebert.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Numbers and texts of `tokenizer.bin`, one after the other; throws IndexOutOfBoundsException beyond its end. */
internal class TableReader(private val data: ByteArray) {
    private var at = MAGIC.length + 1

    init {
        val head = data.size > MAGIC.length && MAGIC.indices.all { data[it].toInt() == MAGIC[it].code }
        if (!head) throw EdgeBertException.Damaged("is not a tokenizer's table")
        if (data[MAGIC.length] > VERSION) {
            val version = data[MAGIC.length]
            throw EdgeBertException.NewerBundle("is a tokenizer's table of version $version; this client reads $VERSION")
        }
    }

    /** An unsigned number: seven bits a byte, the lowest first. */
    fun number(): Int {
        var found = 0
        var shift = 0
        while (true) {
            val byte = data[at++].toInt()
            if (shift > 28) throw IndexOutOfBoundsException()
            found = found or ((byte and 127) shl shift)
            if (byte >= 0) return if (found < 0) throw IndexOutOfBoundsException() else found
            shift += 7
        }
    }

    /** How many things follow, each of a byte at least. */
    fun count(): Int = number().also { if (it > data.size - at) throw IndexOutOfBoundsException() }

    /** A signed number: its sign in the lowest bit. */
    fun signed(): Int = unpacked(number())

    /** A text in UTF-8, its length before it. */
    fun text(): String {
        val size = count()
        at += size
        return String(data, at - size, size, Charsets.UTF_8)
    }

    /** Numbers of four bytes each, or of eight. */
    fun floats(count: Int): DoubleArray {
        val width = number()
        if (count > (data.size - at) / width) throw IndexOutOfBoundsException()
        val bytes = ByteBuffer.wrap(data, at, count * width).order(ByteOrder.LITTLE_ENDIAN)
        at += count * width
        return DoubleArray(count) { if (width == 4) bytes.float.toDouble() else bytes.double }
    }

    companion object {
        const val MAGIC = "EBTK"
        const val VERSION: Byte = 1

        fun unpacked(number: Int): Int = if (number and 1 == 1) -(number shr 1) - 1 else number shr 1
    }
}

/**
 * Ranges of code points, ascending.
 *
 * A table has their count, and of each the code points since the end of the last one and their number - 1; `payload`
 * reads what else it has of one, from its number, its first code point and the one behind its last.
 */
internal class Ranges(reader: TableReader, payload: (Int, Int, Int) -> Unit = { _, _, _ -> }) {
    val starts: IntArray
    private val ends: IntArray

    init {
        val count = reader.count()
        starts = IntArray(count)
        ends = IntArray(count)
        var behind = 0
        for (i in 0 until count) {
            starts[i] = behind + reader.number()
            behind = starts[i] + reader.number() + 1
            if (starts[i] < 0 || behind !in 1..CODES) throw IndexOutOfBoundsException()
            ends[i] = behind
            payload(i, starts[i], behind)
        }
    }

    /** The number of the range that holds a code point; -1 where none does. */
    fun at(code: Int): Int {
        val found = starts.binarySearch(code)
        val number = if (found >= 0) found else -found - 2
        return if (number >= 0 && code < ends[number]) number else -1
    }

    companion object {
        const val CODES = 0x110000
    }
}

/** Integers that grow in number. */
internal class IntList(capacity: Int = 32) {
    var values = IntArray(capacity)
        private set
    var size = 0
        private set

    fun add(value: Int) {
        if (size == values.size) values = values.copyOf(2 * size)
        values[size++] = value
    }

    fun addAll(more: IntArray) {
        if (size + more.size > values.size) values = values.copyOf(maxOf(2 * values.size, size + more.size))
        more.copyInto(values, size)
        size += more.size
    }

    fun clear() {
        size = 0
    }

    fun toArray(most: Int = size): IntArray = values.copyOf(minOf(size, most))
}
