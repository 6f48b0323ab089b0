package ai.onnxruntime;

public enum OnnxJavaType {
    FLOAT, INT8, INT16, INT32, INT64, UNKNOWN
}
