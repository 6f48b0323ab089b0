package ai.onnxruntime;

import java.nio.ByteBuffer;

/** The C API of the real libonnxruntime, as far as it is needed here; handles are pointers. */
final class Native {
    static {
        System.load(System.getProperty("edgebert.jni"));
        begin(System.getProperty("edgebert.onnxruntime"));
    }

    static native void begin(String library);

    static native long options();

    static native void threads(long options, int threads, boolean intra) throws OrtException;

    static native void configure(long options, String key, String value) throws OrtException;

    static native void provider(long options, String name, String[] keys, String[] values) throws OrtException;

    static native void freeOptions(long options);

    static native long open(String path, long options) throws OrtException;

    static native void freeSession(long session);

    static native String[] names(long session, boolean inputs) throws OrtException;

    static native int inputType(long session, int number) throws OrtException;

    static native long tensor(ByteBuffer data, long[] shape, boolean wide) throws OrtException;

    static native long[] run(long session, String[] names, long[] values, String[] outputs) throws OrtException;

    static native long[] shape(long value) throws OrtException;

    static native float[] floats(long value);

    static native void freeValue(long value);
}
