package edgebert.core

import java.io.File

/** One output without the batch axis: float32, the last axis fastest. */
class Tensor(val shape: IntArray, val values: FloatArray) {
    /** Numbers of one step of the first axis. */
    val width: Int get() = if (shape.isEmpty() || shape[0] == 0) values.size else values.size / shape[0]

    /** The first `rows` steps of the first axis. */
    fun cut(rows: Int): Tensor =
        if (shape[0] <= rows) this else Tensor(intArrayOf(rows) + shape.drop(1), values.copyOf(rows * width))

    /** A step of the first axis. */
    fun row(at: Int): FloatArray = values.copyOfRange(at * width, (at + 1) * width)
}

/** A model file that is open in its runtime; safe for use by several threads. */
interface Model : AutoCloseable {
    /** What runs it: the runtime and the processor, as in "ONNX Runtime, CPU". */
    val backend: String

    /** The outputs by name, for token ids by input name, all of one length. */
    fun run(feeds: Map<String, IntArray>): Map<String, Tensor>

    override fun close()
}

/** Opens model files of one format. Throws [EdgeBertException.ModelFailed]. */
fun interface Runtime {
    fun open(file: File, manifest: Manifest, options: Options): Model
}

/**
 * How a bundle is opened.
 *
 * @property threads of the runtime on the CPU
 * @property warmUp run a text before anyone asks, so that the first answer takes no longer than the others
 */
class Options(val threads: Int = 2, val warmUp: Boolean = true)
