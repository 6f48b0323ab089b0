package edgebert.core

/** An input or output of a model; null in a shape: any size. `perToken`: its second axis is that of the tokens. */
class TensorFacts(val name: String, val dtype: String, val shape: List<Int?>, val perToken: Boolean)

/** A model file of a bundle: where it is, what runs it, and how it is fed. */
class ModelFile(
    val id: String,
    val file: String,
    val format: String,
    val precision: String,
    val session: Map<String, String>,
    val inputs: List<TensorFacts>,
    val outputs: List<TensorFacts>,
    val buckets: List<Int>,
)

/** What a bundle says of itself in manifest.json, as far as a client needs to know it. */
class Manifest private constructor(told: Told) {
    val name: String = told.text("name")
    val task: String = told.text("task")
    val labels: List<String> = told.list("labels").map { it.toString() }
    val target: String = told.inner("target").text("name")
    val runtime: String = told.inner("target").text("runtime")
    val accelerator: String = told.inner("target").optional("accelerator") as? String ?: "none"
    val model: ModelFile
    internal val decoding = told.inner("decoding")

    /** What is put before a text that is looked for, by a feature-extraction bundle; else empty. */
    val queryPrefix: String = decoding.optional("query_prefix") as? String ?: ""

    init {
        val wanted = told.text("default_model")
        val entry = told.list("models").map { Told(it, "models") }.firstOrNull { it.text("id") == wanted }
        model = modelFile(entry ?: throw EdgeBertException.Damaged("manifest.json has no model '$wanted'"))
    }

    private fun modelFile(entry: Told) = ModelFile(
        entry.text("id"),
        entry.text("file"),
        entry.text("format"),
        entry.optional("precision") as? String ?: "",
        (entry.optional("session") as? Map<*, *>).orEmpty().entries.associate { "${it.key}" to "${it.value}" },
        tensors(entry, "inputs"),
        tensors(entry, "outputs"),
        (entry.optional("buckets") as? List<*>).orEmpty().map { (it as? Double)?.toInt() ?: throw EdgeBertException.Damaged("manifest.json: a bucket is no number") },
    )

    private fun tensors(entry: Told, key: String) = entry.inner("signature").list(key).map { Told(it, key) }.map {
        val shape = it.list("shape").map { size -> (size as? Double)?.toInt() }
        TensorFacts(it.text("name"), it.text("dtype"), shape, it.optional("per_token") == true)
    }

    companion object {
        const val SCHEMA = 1

        /** Read manifest.json. Throws [EdgeBertException.Damaged], [EdgeBertException.NewerBundle]. */
        @JvmStatic
        fun parse(json: String): Manifest {
            val told = Told(Json.parse(json), "manifest.json")
            val schema = told.number("schema").toInt()
            if (schema > SCHEMA) {
                throw EdgeBertException.NewerBundle(
                    "a bundle of schema $schema; this client reads up to $SCHEMA: export the client again with the " +
                        "EdgeBERT that made the bundle",
                )
            }
            return Manifest(told)
        }
    }
}

/** A table of JSON whose keys must be of a kind. */
internal class Told(told: Any?, private val where: String) {
    private val values = told as? Map<*, *> ?: fail("is no table")

    fun optional(key: String): Any? = values[key]

    fun has(key: String): Boolean = values.containsKey(key)

    fun text(key: String): String = values[key] as? String ?: fail("has no text '$key'")

    fun number(key: String): Double = values[key] as? Double ?: fail("has no number '$key'")

    fun list(key: String): List<*> = values[key] as? List<*> ?: fail("has no list '$key'")

    fun inner(key: String): Told = Told(values[key], "$where: $key")

    private fun fail(what: String): Nothing = throw EdgeBertException.Damaged("$where $what")
}
