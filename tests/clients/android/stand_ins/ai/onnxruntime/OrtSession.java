package ai.onnxruntime;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

public class OrtSession implements AutoCloseable {
    private static final Map<Integer, OnnxJavaType> TYPES = Map.of(6, OnnxJavaType.INT32, 7, OnnxJavaType.INT64);
    private final long handle;

    OrtSession(long handle) {
        this.handle = handle;
    }

    public Map<String, NodeInfo> getInputInfo() throws OrtException {
        Map<String, NodeInfo> found = new LinkedHashMap<>();
        String[] names = Native.names(handle, true);
        for (int i = 0; i < names.length; i++) {
            OnnxJavaType type = TYPES.getOrDefault(Native.inputType(handle, i), OnnxJavaType.UNKNOWN);
            found.put(names[i], new NodeInfo(new TensorInfo(type, new long[0])));
        }
        return found;
    }

    public Result run(Map<String, ? extends OnnxTensor> inputs) throws OrtException {
        String[] names = inputs.keySet().toArray(new String[0]);
        long[] values = new long[names.length];
        for (int i = 0; i < names.length; i++) {
            values[i] = inputs.get(names[i]).handle;
        }
        String[] outputs = Native.names(handle, false);
        long[] given = Native.run(handle, names, values, outputs);
        Map<String, OnnxValue> found = new LinkedHashMap<>();
        for (int i = 0; i < outputs.length; i++) {
            TensorInfo info = new TensorInfo(OnnxJavaType.FLOAT, Native.shape(given[i]));
            found.put(outputs[i], new OnnxTensor(given[i], null, info));
        }
        return new Result(found);
    }

    @Override
    public void close() throws OrtException {
        Native.freeSession(handle);
    }

    /** With the property edgebert.npu, one that says it has QNN and computes on the CPU. */
    public static class SessionOptions implements AutoCloseable {
        private static final boolean NPU = Boolean.getBoolean("edgebert.npu");
        final long handle = Native.options();

        public void setIntraOpNumThreads(int threads) throws OrtException {
            Native.threads(handle, threads, true);
        }

        public void setInterOpNumThreads(int threads) throws OrtException {
            Native.threads(handle, threads, false);
        }

        public void addConfigEntry(String key, String value) throws OrtException {
            if (!NPU || !key.equals("session.disable_cpu_ep_fallback")) {
                Native.configure(handle, key, value);
            }
        }

        public void addQnn(Map<String, String> options) throws OrtException {
            String[] keys = options.keySet().toArray(new String[0]);
            String[] values = options.values().toArray(new String[0]);
            if (!NPU) {
                Native.provider(handle, "QNN", keys, values);
            }
        }

        @Override
        public void close() {
            Native.freeOptions(handle);
        }
    }

    public static class Result implements AutoCloseable, Iterable<Map.Entry<String, OnnxValue>> {
        private final Map<String, OnnxValue> values;

        Result(Map<String, OnnxValue> values) {
            this.values = values;
        }

        @Override
        public Iterator<Map.Entry<String, OnnxValue>> iterator() {
            return values.entrySet().iterator();
        }

        @Override
        public void close() {
            values.values().forEach(OnnxValue::close);
        }
    }
}
