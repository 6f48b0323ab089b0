package edgebert.core

import java.io.File
import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/**
 * An open bundle: texts in, answers out. Safe for use by several threads; close it when it is no longer needed.
 *
 * Opening and asking take time: call them from a thread that is not the user interface's.
 *
 * @property backend what runs the model, as in "ONNX Runtime, CPU"
 * @property passedOver why bundles that were preferred to this one could not be opened, a line each
 */
class EdgeBert private constructor(
    val manifest: Manifest,
    val tokenizer: Tokenizer,
    private val model: Model,
    val passedOver: List<String>,
) : AutoCloseable {
    private val task = Task.of(manifest, tokenizer)
    private val lock = ReentrantReadWriteLock()
    private var closed = false

    val backend: String get() = model.backend

    /** The label of a text. Throws [EdgeBertException]. */
    fun classify(text: String): Classification = answer(Row("text" to text)).of("label of one text")

    /** The label of a pair of texts. */
    fun classify(text: String, pair: String): Classification =
        answer(Row("text" to text, "text_pair" to pair)).of("label of a pair")

    /** All labels that hold of a text. */
    fun labels(text: String): Labels = answer(Row("text" to text)).of("set of labels")

    /** The number that the model gives a text, or a pair of texts. */
    fun score(text: String, pair: String? = null): Score =
        answer(Row(listOf("text" to text, "text_pair" to pair).filter { it.second != null }.toMap())).of("number")

    /** The entities in a text of any length. */
    fun entities(text: String): Entities = answer(Row("text" to text)).of("entities")

    /** The part of a context, of any length, that answers a question. */
    fun answer(question: String, context: String): Found =
        answer(Row("question" to question, "context" to context)).of("answer to a question")

    /** The vector of a text that is looked for, of the length 1. */
    fun embed(text: String): FloatArray = answer(Row("text" to text)).of<Vectors>("vector").vector!!

    /** The vector of a text that is to be found, of the length 1. */
    fun embedPassage(text: String): FloatArray = answer(Row("text_pair" to text)).of<Vectors>("vector").pairVector!!

    /** The answer to a row of the task's columns. Throws [EdgeBertException]. */
    fun answer(row: Row): Answer = lock.read {
        if (closed) throw EdgeBertException.Closed()
        val windows = task.windows(row)
        task.answer(row, windows, windows.map { model.run(feeds(it.ids, it.types)) })
    }

    /** The outputs of the model by name for token ids and their types: what golden rows are compared with. */
    fun outputs(ids: IntArray, types: IntArray = IntArray(ids.size)): Map<String, Tensor> = lock.read {
        if (closed) throw EdgeBertException.Closed()
        model.run(feeds(ids, types))
    }

    private fun feeds(ids: IntArray, types: IntArray) =
        mapOf("input_ids" to ids, "attention_mask" to IntArray(ids.size) { 1 }, "token_type_ids" to types)

    private inline fun <reified T : Answer> Answer.of(what: String): T = this as? T
        ?: throw EdgeBertException.UnsupportedTask("a bundle for ${manifest.task} gives no $what; use answer(Row)")

    /** Free the model, once the calls that are running have ended; later calls throw [EdgeBertException.Closed]. */
    override fun close() = lock.write {
        if (!closed) model.close()
        closed = true
    }

    companion object {
        private const val TABLE = "tokenizer.bin"
        private const val VOCABULARY = "vocab.txt"

        /** Open the bundle in a folder. Throws [EdgeBertException]. */
        @JvmStatic
        @JvmOverloads
        fun open(folder: File, runtimes: Map<String, Runtime>, options: Options = Options()): EdgeBert =
            open(listOf(FolderSource(folder)), runtimes, options)

        /**
         * Open the first of several bundles whose model runs here: those of an accelerator before one of the CPU.
         *
         * `runtimes` open model files by their format. Throws [EdgeBertException].
         */
        @JvmStatic
        fun open(sources: List<Source>, runtimes: Map<String, Runtime>, options: Options): EdgeBert {
            val passedOver = ArrayList<String>()
            sources.forEachIndexed { i, source ->
                try {
                    return opened(source, runtimes, options, passedOver)
                } catch (error: EdgeBertException.ModelFailed) {
                    if (i == sources.size - 1) throw error
                    passedOver.add("${source.name}: ${error.message}")
                }
            }
            throw EdgeBertException.MissingFile("no bundle was given")
        }

        private fun opened(source: Source, runtimes: Map<String, Runtime>, options: Options, over: List<String>): EdgeBert {
            val manifest = told("${source.name}: manifest.json") {
                Manifest.parse(String(source.bytes("manifest.json"), Charsets.UTF_8))
            }
            val tokenizer = told("${source.name}: $TABLE") {
                val most = manifest.decoding.number("max_tokens").toInt()
                Tokenizer(source.bytes(TABLE), source.bytes(VOCABULARY), most)
            }
            Task.of(manifest, tokenizer)
            val format = manifest.model.format
            val runtime = runtimes[format] ?: throw EdgeBertException.ModelFailed(
                "this client was exported for ${runtimes.keys.joinToString(" and ")} and opens no $format file",
            )
            val model = runtime.open(source.path(manifest.model.file), manifest, options)
            try {
                val bert = EdgeBert(manifest, tokenizer, model, over)
                if (options.warmUp) bert.outputs(tokenizer.encode("."))
                return bert
            } catch (error: EdgeBertException) {
                model.close()
                throw error
            }
        }

        private inline fun <T> told(where: String, read: () -> T): T = try {
            read()
        } catch (error: EdgeBertException.Damaged) {
            throw EdgeBertException.Damaged("$where: ${error.message}", error)
        } catch (error: EdgeBertException.NewerBundle) {
            throw EdgeBertException.NewerBundle("$where: ${error.message}")
        }
    }
}
