package android.content;

import android.content.res.AssetManager;
import java.io.File;

/** Not of Android: a phone's app as two folders, its assets and its no-backup files. */
public class FolderContext extends Context {
    private final File assets;
    private final File files;

    public FolderContext(File assets, File files) {
        this.assets = assets;
        this.files = files;
    }

    @Override
    public AssetManager getAssets() {
        return new AssetManager(assets);
    }

    @Override
    public File getNoBackupFilesDir() {
        return files;
    }
}
