package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;

public class OnnxTensor implements OnnxValue {
    final long handle;
    private final ByteBuffer kept; // the runtime reads an input where it is
    private final TensorInfo info;

    OnnxTensor(long handle, ByteBuffer kept, TensorInfo info) {
        this.handle = handle;
        this.kept = kept;
        this.info = info;
    }

    public static OnnxTensor createTensor(OrtEnvironment environment, LongBuffer data, long[] shape)
            throws OrtException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(8 * data.remaining()).order(ByteOrder.nativeOrder());
        bytes.asLongBuffer().put(data);
        return new OnnxTensor(Native.tensor(bytes, shape, true), bytes, new TensorInfo(OnnxJavaType.INT64, shape));
    }

    public static OnnxTensor createTensor(OrtEnvironment environment, IntBuffer data, long[] shape)
            throws OrtException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(4 * data.remaining()).order(ByteOrder.nativeOrder());
        bytes.asIntBuffer().put(data);
        return new OnnxTensor(Native.tensor(bytes, shape, false), bytes, new TensorInfo(OnnxJavaType.INT32, shape));
    }

    public FloatBuffer getFloatBuffer() {
        return FloatBuffer.wrap(Native.floats(handle));
    }

    @Override
    public TensorInfo getInfo() {
        return info;
    }

    @Override
    public void close() {
        Native.freeValue(handle);
    }
}
