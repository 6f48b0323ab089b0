package android.app;

import android.content.Context;
import android.content.FolderContext;
import java.io.File;

public class Instrumentation {
    public Context getContext() {
        return new FolderContext(new File(System.getProperty("edgebert.test.assets")), null);
    }

    public Context getTargetContext() {
        File files = new File(System.getProperty("edgebert.files"));
        return new FolderContext(new File(System.getProperty("edgebert.assets")), files);
    }
}
