@file:JvmName("EdgeBertAndroid")

package edgebert.android

import android.content.Context
import edgebert.core.EdgeBert
import edgebert.core.FolderSource
import edgebert.core.Options
import java.io.File

/**
 * Open the bundle in the app's assets; of two, the NPU's where the phone has one, else the CPU's.
 *
 * `backend` of what comes back says which runs, `passedOver` why another does not. Takes seconds the first time: call
 * it from a thread that is not the user interface's. Throws EdgeBertException.
 */
@JvmOverloads
fun EdgeBert.Companion.open(context: Context, options: Options = Options()): EdgeBert {
    val assets = Assets(context)
    return open(assets.bundles(), RUNTIMES, options).also { assets.tidy() }
}

/** Open a bundle's folder by its path: one that was downloaded, or delivered as an asset pack. */
@JvmOverloads
fun EdgeBert.Companion.open(folder: File, options: Options = Options()): EdgeBert =
    open(listOf(FolderSource(folder)), RUNTIMES, options)
