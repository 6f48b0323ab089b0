package edgebert.android

import edgebert.core.EdgeBertException
import edgebert.core.Manifest
import edgebert.core.Model
import edgebert.core.Options
import edgebert.core.Tensor
import java.io.File
import java.nio.FloatBuffer
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter

/** A TFLite file with one signature for each length bucket, weights shared; runs one text at a time. */
internal class LiteRtModel private constructor(
    private val interpreter: Interpreter,
    private val manifest: Manifest,
) : Model {
    override val backend = "LiteRT, CPU"
    private val buckets = manifest.model.buckets.sorted()

    override fun run(feeds: Map<String, IntArray>): Map<String, Tensor> {
        val length = feeds.values.first().size
        val bucket = buckets.firstOrNull { it >= length }
            ?: throw EdgeBertException.ModelFailed("$length tokens; the longest bucket holds ${buckets.lastOrNull()}")
        val key = "tokens_$bucket"
        try {
            return synchronized(interpreter) { run(key, feeds, bucket) }
                .mapValues { (name, tensor) -> if (name in perToken) tensor.cut(length) else tensor }
        } catch (error: IllegalArgumentException) {
            throw failed("failed in", error)
        } catch (error: IllegalStateException) {
            throw failed("failed in", error)
        }
    }

    private val perToken = manifest.model.outputs.filter { it.perToken }.map { it.name }.toSet()

    private fun run(key: String, feeds: Map<String, IntArray>, bucket: Int): Map<String, Tensor> {
        val inputs = interpreter.getSignatureInputs(key).associateWith { name ->
            val ids = feeds[name] ?: throw EdgeBertException.Damaged("'${manifest.model.file}' has an unknown input '$name'")
            val padded = ids.copyOf(bucket)
            if (interpreter.getInputTensorFromSignature(name, key).dataType() == DataType.INT32) {
                arrayOf(padded)
            } else {
                arrayOf(LongArray(bucket) { padded[it].toLong() })
            }
        }
        val shapes = manifest.model.outputs.indices.associate { "output_$it" to shape("output_$it", key) }
        val buffers = shapes.mapValues { (_, shape) -> FloatBuffer.allocate(shape.fold(1, Int::times)) }
        interpreter.runSignature(inputs, buffers, key)
        return manifest.model.outputs.withIndex().associate { (i, output) ->
            val name = "output_$i"
            output.name to Tensor(shapes.getValue(name).drop(1).toIntArray(), buffers.getValue(name).array())
        }
    }

    private fun shape(output: String, key: String) = interpreter.getOutputTensorFromSignature(output, key).shape()

    private fun failed(what: String, error: Exception) =
        EdgeBertException.ModelFailed("'${manifest.model.file}' $what LiteRT: ${error.message}", error)

    override fun close() = synchronized(interpreter) { interpreter.close() }

    companion object {
        /** Open a file by its path, which LiteRT maps. */
        fun open(file: File, manifest: Manifest, options: Options): Model = try {
            LiteRtModel(Interpreter(file, Interpreter.Options().setNumThreads(options.threads)), manifest)
        } catch (error: IllegalArgumentException) { // what the interpreter throws for a file that it cannot read
            throw EdgeBertException.ModelFailed("'${manifest.model.file}' cannot be opened in LiteRT: ${error.message}", error)
        } catch (error: LinkageError) {
            throw EdgeBertException.ModelFailed("LiteRT is not in this app: ${error.message}", error)
        }
    }
}
