package ai.onnxruntime;

public final class OrtEnvironment implements AutoCloseable {
    private static OrtEnvironment only;

    public static synchronized OrtEnvironment getEnvironment() {
        if (only == null) {
            only = new OrtEnvironment();
        }
        return only;
    }

    public OrtSession createSession(String path, OrtSession.SessionOptions options) throws OrtException {
        return new OrtSession(Native.open(path, options.handle));
    }

    @Override
    public void close() {}
}
