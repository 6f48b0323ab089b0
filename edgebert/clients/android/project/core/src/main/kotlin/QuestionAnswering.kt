package edgebert.core

/** The best span of the context, or none where its windows tell that the answer is missing. */
internal class QuestionAnswering(manifest: Manifest, private val tokenizer: Tokenizer) : Task {
    private val stride = manifest.decoding.number("doc_stride").toInt()
    private val most = manifest.decoding.number("n_best").toInt()
    private val longest = manifest.decoding.number("max_answer_tokens").toInt()
    private val threshold: Double? = // null: every question has an answer
        if (manifest.decoding.has("null_threshold")) manifest.decoding.optional("null_threshold") as? Double else 0.0

    /** A span's logit, where it begins and the place behind its end; -1 for "no answer". */
    private class Candidate(val logit: Double, val start: Int, val end: Int)

    override fun windows(row: Row) = tokenizer.windows(row.text("context"), stride, row.text("question"))

    /**
     * A span's logit is the sum of its two, its score the softmax over those of the best spans of all windows. Where
     * there is a threshold, "no answer" is one more of them: its logit is that of [CLS] in the window that speaks
     * least for it, and it is the answer where it is more than the threshold above the best span's.
     */
    override fun answer(row: Row, windows: List<Window>, outputs: List<Map<String, Tensor>>): Answer {
        val context = row.text("context")
        val truncated = windows.any { it.truncated }
        var listed = best(context, windows, outputs)
        var missing: Candidate? = null
        if (threshold != null) {
            val logit = outputs.minOf { it.logits("start_logits")[0] + it.logits("end_logits")[0] }
            val none = Candidate(logit, -1, -1)
            if (listed.isEmpty() || logit - listed[0].logit > threshold) missing = none
            listed = (listed + none).sortedByDescending { it.logit }
        }
        if (listed.isEmpty()) return Found(Span("", null, null, 0.0), emptyList(), truncated)
        val shares = softmax(DoubleArray(listed.size) { listed[it].logit })
        val told = listed.mapIndexed { i, one ->
            if (one.start < 0) {
                Span("", null, null, shares[i])
            } else {
                Span(context.substring(one.start, one.end), one.start, one.end, shares[i])
            }
        }
        val chosen = if (missing != null) listed.indexOf(missing) else listed.indexOfFirst { it.start >= 0 }
        return Found(told[chosen], told, truncated)
    }

    private fun Map<String, Tensor>.logits(name: String) = output(name).values.doubles()

    /** The best different spans of all windows, best first. */
    private fun best(context: String, windows: List<Window>, outputs: List<Map<String, Tensor>>): List<Candidate> {
        val found = HashMap<Pair<Int, Int>, Double>()
        for ((window, output) in windows.zip(outputs)) {
            val pieces = window.second.orEmpty()
            val behind = window.first.orEmpty().size + 2 // [CLS] question [SEP]
            val (starts, ends) = output.logits("start_logits") to output.logits("end_logits")
            val top = Top(most)
            for (first in pieces.indices) {
                for (last in first until minOf(pieces.size, first + longest)) {
                    top.offer(starts[behind + first] + ends[behind + last], first, last)
                }
            }
            top.each { logit, first, last ->
                val range = trimmed(context, pieces[first].start, pieces[last].end)
                val span = range.first to range.last + 1
                if (logit > (found[span] ?: Double.NEGATIVE_INFINITY)) found[span] = logit
            }
        }
        return found.filterKeys { it.first < it.second }.map { (span, logit) -> Candidate(logit, span.first, span.second) }
            .sortedWith(compareBy({ -it.logit }, { it.start }, { it.end })).take(most)
    }

    /** The largest of what is offered, in order; of equal ones those that were offered first. */
    private class Top(private val most: Int) {
        private val logits = DoubleArray(most)
        private val firsts = IntArray(most)
        private val lasts = IntArray(most)
        private var size = 0

        fun offer(logit: Double, first: Int, last: Int) {
            var at = size
            while (at > 0 && logits[at - 1] < logit) at--
            if (at == most) return
            if (size < most) size++
            logits.copyInto(logits, at + 1, at, size - 1)
            firsts.copyInto(firsts, at + 1, at, size - 1)
            lasts.copyInto(lasts, at + 1, at, size - 1)
            logits[at] = logit
            firsts[at] = first
            lasts[at] = last
        }

        fun each(take: (Double, Int, Int) -> Unit) {
            for (i in 0 until size) take(logits[i], firsts[i], lasts[i])
        }
    }
}
