package edgebert.core

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import java.io.File
import java.nio.IntBuffer
import java.nio.LongBuffer

/** A file in ONNX Runtime: on the CPU, or all of it on the NPU through Qualcomm's QNN. */
class OnnxModel private constructor(
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    private val entry: ModelFile,
    override val backend: String,
) : Model {
    private val types = session.inputInfo.mapValues { (it.value.info as TensorInfo).type }
    private val tokens = entry.inputs.firstOrNull()?.shape?.getOrNull(1) // null: any length
    private val perToken = entry.outputs.filter { it.perToken }.map { it.name }.toSet()

    override fun run(feeds: Map<String, IntArray>): Map<String, Tensor> {
        val length = feeds.values.first().size
        val whole = tokens ?: length
        if (length > whole) throw EdgeBertException.ModelFailed("$length tokens; '${entry.file}' holds $whole")
        val given = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, type) in types) {
                val ids = feeds[name] ?: throw EdgeBertException.Damaged("'${entry.file}' has an unknown input '$name'")
                given[name] = tensor(ids.copyOf(whole), type)
            }
            session.run(given).use { result ->
                return result.associate { (name, value) ->
                    val found = value as OnnxTensor
                    val shape = found.info.shape.drop(1).map { it.toInt() }.toIntArray()
                    val values = found.floatBuffer.let { buffer -> FloatArray(buffer.remaining()).also { buffer.get(it) } }
                    name to Tensor(shape, values).let { if (name in perToken) it.cut(length) else it }
                }
            }
        } catch (error: OrtException) {
            throw EdgeBertException.ModelFailed("'${entry.file}' failed in ONNX Runtime: ${error.message}", error)
        } finally {
            given.values.forEach { it.close() }
        }
    }

    private fun tensor(ids: IntArray, type: OnnxJavaType): OnnxTensor {
        val shape = longArrayOf(1, ids.size.toLong())
        if (type == OnnxJavaType.INT32) return OnnxTensor.createTensor(environment, IntBuffer.wrap(ids), shape)
        return OnnxTensor.createTensor(environment, LongBuffer.wrap(LongArray(ids.size) { ids[it].toLong() }), shape)
    }

    override fun close() = session.close()

    companion object {
        private const val NPU = "onnxruntime-qnn"

        /** Open a file by its path, so that the runtime maps it; the manifest's session entries are applied. */
        @JvmStatic
        fun open(file: File, manifest: Manifest, options: Options): Model {
            val entry = manifest.model
            val npu = manifest.runtime == NPU
            try {
                val environment = OrtEnvironment.getEnvironment()
                OrtSession.SessionOptions().use { session ->
                    session.setIntraOpNumThreads(options.threads)
                    session.setInterOpNumThreads(1)
                    entry.session.forEach { (key, value) -> session.addConfigEntry(key, value) }
                    if (npu) {
                        session.addConfigEntry("session.disable_cpu_ep_fallback", "1") // all of it there, or not at all
                        session.addQnn(mapOf("backend_path" to "libQnnHtp.so", "htp_performance_mode" to "burst"))
                    }
                    val opened = environment.createSession(file.path, session)
                    return OnnxModel(environment, opened, entry, if (npu) "ONNX Runtime, NPU (QNN)" else "ONNX Runtime, CPU")
                }
            } catch (error: OrtException) {
                throw EdgeBertException.ModelFailed("'${entry.file}' cannot be opened in ONNX Runtime: ${error.message}", error)
            } catch (error: LinkageError) {
                throw EdgeBertException.ModelFailed("ONNX Runtime is not in this app: ${error.message}", error)
            }
        }
    }
}
