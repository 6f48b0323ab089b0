/* What the Java stand-in of ONNX Runtime's binding calls: the real library's C API, by its stable table.
 *
 * OrtApi only ever grows at its end, so a function's place in it (onnxruntime_c_api.h of 1.21, struct OrtApi) is its
 * ABI; no header of the library is needed to build this.
 */
#include <dlfcn.h>
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>

#define API_VERSION 17
enum {
  GetErrorMessage = 2, CreateEnv = 3, CreateSession = 7, Run = 9, CreateSessionOptions = 10,
  SetSessionLogSeverityLevel = 22, SetIntraOpNumThreads = 24, SetInterOpNumThreads = 25, SessionGetInputCount = 30,
  SessionGetOutputCount = 31, SessionGetInputTypeInfo = 33, SessionGetInputName = 36, SessionGetOutputName = 37,
  CreateTensorWithDataAsOrtValue = 49, GetTensorMutableData = 51, CastTypeInfoToTensorInfo = 55,
  GetTensorElementType = 60, GetDimensionsCount = 61, GetDimensions = 62, GetTensorShapeElementCount = 64,
  GetTensorTypeAndShape = 65, CreateCpuMemoryInfo = 69, AllocatorFree = 76, GetAllocatorWithDefaultOptions = 78,
  ReleaseStatus = 93, ReleaseSession = 95, ReleaseValue = 96, ReleaseTypeInfo = 98,
  ReleaseTensorTypeAndShapeInfo = 99, ReleaseSessionOptions = 100, AddSessionConfigEntry = 130,
  SessionOptionsAppendExecutionProvider = 216,
};
enum { ERRORS_ONLY = 3, ARENA = 1, DEFAULT_MEMORY = 0, INT32 = 6, INT64 = 7 };

typedef struct { const void *(*get_api)(uint32_t); const char *(*version)(void); } Base;
typedef void *Status;
static void *const *api;
static void *environment, *memory, *allocator;

/* Call a function that returns a status. */
#define CALL(name, ...) ((Status(*)())api[name])(__VA_ARGS__)
#define FREE(name, value) ((void (*)(void *))api[name])(value)
#define NATIVE(type, name) JNIEXPORT type JNICALL Java_ai_onnxruntime_Native_##name

static int failed(JNIEnv *env, Status status) {
  if (!status) return 0;
  jclass kind = (*env)->FindClass(env, "ai/onnxruntime/OrtException");
  (*env)->ThrowNew(env, kind, ((const char *(*)(Status))api[GetErrorMessage])(status));
  FREE(ReleaseStatus, status);
  return 1;
}

static const char *text(JNIEnv *env, jstring from) { return (*env)->GetStringUTFChars(env, from, NULL); }

static void done(JNIEnv *env, jstring from, const char *chars) { (*env)->ReleaseStringUTFChars(env, from, chars); }

/* The texts of an array; `release` with the same array ends their use. */
static const char **texts(JNIEnv *env, jobjectArray from, jsize count) {
  const char **found = calloc(count + 1, sizeof *found);
  for (jsize i = 0; i < count; i++) found[i] = text(env, (*env)->GetObjectArrayElement(env, from, i));
  return found;
}

static void release(JNIEnv *env, jobjectArray from, const char **chars, jsize count) {
  for (jsize i = 0; i < count; i++) done(env, (*env)->GetObjectArrayElement(env, from, i), chars[i]);
  free(chars);
}

NATIVE(void, begin)(JNIEnv *env, jclass self, jstring library) {
  const char *path = text(env, library);
  void *opened = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  done(env, library, path);
  Base *(*base)(void) = opened ? (Base * (*)(void)) dlsym(opened, "OrtGetApiBase") : NULL;
  if (!base || !(api = base()->get_api(API_VERSION))) {
    (*env)->ThrowNew(env, (*env)->FindClass(env, "java/lang/UnsatisfiedLinkError"), "no ONNX Runtime there");
    return;
  }
  if (failed(env, CALL(CreateEnv, ERRORS_ONLY, "tests", &environment))) return;
  if (failed(env, CALL(GetAllocatorWithDefaultOptions, &allocator))) return;
  failed(env, CALL(CreateCpuMemoryInfo, ARENA, DEFAULT_MEMORY, &memory));
}

NATIVE(jlong, options)(JNIEnv *env, jclass self) {
  void *options = NULL;
  if (!failed(env, CALL(CreateSessionOptions, &options)))
    failed(env, CALL(SetSessionLogSeverityLevel, options, ERRORS_ONLY));
  return (jlong)options;
}

NATIVE(void, threads)(JNIEnv *env, jclass self, jlong options, jint threads, jboolean intra) {
  failed(env, CALL(intra ? SetIntraOpNumThreads : SetInterOpNumThreads, (void *)options, threads));
}

NATIVE(void, configure)(JNIEnv *env, jclass self, jlong options, jstring key, jstring value) {
  const char *k = text(env, key), *v = text(env, value);
  Status status = CALL(AddSessionConfigEntry, (void *)options, k, v);
  done(env, key, k);
  done(env, value, v);
  failed(env, status);
}

NATIVE(void, provider)(JNIEnv *env, jclass self, jlong options, jstring name, jobjectArray keys, jobjectArray values) {
  jsize count = (*env)->GetArrayLength(env, keys);
  const char *n = text(env, name), **k = texts(env, keys, count), **v = texts(env, values, count);
  Status status = CALL(SessionOptionsAppendExecutionProvider, (void *)options, n, k, v, (size_t)count);
  done(env, name, n);
  release(env, keys, k, count);
  release(env, values, v, count);
  failed(env, status);
}

NATIVE(void, freeOptions)(JNIEnv *env, jclass self, jlong options) { FREE(ReleaseSessionOptions, (void *)options); }

NATIVE(jlong, open)(JNIEnv *env, jclass self, jstring path, jlong options) {
  void *session = NULL;
  const char *p = text(env, path);
  Status status = CALL(CreateSession, environment, p, (void *)options, &session);
  done(env, path, p);
  failed(env, status);
  return (jlong)session;
}

NATIVE(void, freeSession)(JNIEnv *env, jclass self, jlong session) { FREE(ReleaseSession, (void *)session); }

NATIVE(jobjectArray, names)(JNIEnv *env, jclass self, jlong session, jboolean inputs) {
  size_t count = 0;
  if (failed(env, CALL(inputs ? SessionGetInputCount : SessionGetOutputCount, (void *)session, &count))) return NULL;
  jobjectArray found = (*env)->NewObjectArray(env, count, (*env)->FindClass(env, "java/lang/String"), NULL);
  for (size_t i = 0; i < count; i++) {
    char *name = NULL;
    if (failed(env, CALL(inputs ? SessionGetInputName : SessionGetOutputName, (void *)session, i, allocator, &name)))
      return NULL;
    (*env)->SetObjectArrayElement(env, found, i, (*env)->NewStringUTF(env, name));
    CALL(AllocatorFree, allocator, name);
  }
  return found;
}

NATIVE(jint, inputType)(JNIEnv *env, jclass self, jlong session, jint number) {
  void *info = NULL;
  const void *tensor = NULL;
  int type = 0;
  if (failed(env, CALL(SessionGetInputTypeInfo, (void *)session, (size_t)number, &info))) return 0;
  if (!failed(env, CALL(CastTypeInfoToTensorInfo, info, &tensor)))
    failed(env, CALL(GetTensorElementType, tensor, &type));
  FREE(ReleaseTypeInfo, info);
  return type;
}

NATIVE(jlong, tensor)(JNIEnv *env, jclass self, jobject data, jlongArray shape, jboolean wide) {
  int64_t sizes[8];
  jsize rank = (*env)->GetArrayLength(env, shape);
  void *value = NULL;
  (*env)->GetLongArrayRegion(env, shape, 0, rank, (jlong *)sizes);
  failed(env, CALL(CreateTensorWithDataAsOrtValue, memory, (*env)->GetDirectBufferAddress(env, data),
                   (size_t)(*env)->GetDirectBufferCapacity(env, data), sizes, (size_t)rank, wide ? INT64 : INT32, &value));
  return (jlong)value;
}

NATIVE(jlongArray, run)(JNIEnv *env, jclass self, jlong session, jobjectArray names, jlongArray values, jobjectArray outputs) {
  jsize count = (*env)->GetArrayLength(env, names), wanted = (*env)->GetArrayLength(env, outputs);
  const char **n = texts(env, names, count), **o = texts(env, outputs, wanted);
  jlong *given = (*env)->GetLongArrayElements(env, values, NULL);
  jlong *found = calloc(wanted, sizeof *found);
  Status status = CALL(Run, (void *)session, NULL, n, given, (size_t)count, o, (size_t)wanted, found);
  (*env)->ReleaseLongArrayElements(env, values, given, JNI_ABORT);
  release(env, names, n, count);
  release(env, outputs, o, wanted);
  jlongArray told = NULL;
  if (!failed(env, status)) {
    told = (*env)->NewLongArray(env, wanted);
    (*env)->SetLongArrayRegion(env, told, 0, wanted, found);
  }
  free(found);
  return told;
}

NATIVE(jlongArray, shape)(JNIEnv *env, jclass self, jlong value) {
  void *info = NULL;
  size_t rank = 0;
  int64_t sizes[8];
  if (failed(env, CALL(GetTensorTypeAndShape, (void *)value, &info))) return NULL;
  CALL(GetDimensionsCount, info, &rank);
  CALL(GetDimensions, info, sizes, rank);
  FREE(ReleaseTensorTypeAndShapeInfo, info);
  jlongArray found = (*env)->NewLongArray(env, rank);
  (*env)->SetLongArrayRegion(env, found, 0, rank, (jlong *)sizes);
  return found;
}

NATIVE(jfloatArray, floats)(JNIEnv *env, jclass self, jlong value) {
  void *info = NULL;
  float *data = NULL;
  size_t count = 0;
  if (failed(env, CALL(GetTensorTypeAndShape, (void *)value, &info))) return NULL;
  CALL(GetTensorShapeElementCount, info, &count);
  FREE(ReleaseTensorTypeAndShapeInfo, info);
  CALL(GetTensorMutableData, (void *)value, &data);
  jfloatArray found = (*env)->NewFloatArray(env, count);
  (*env)->SetFloatArrayRegion(env, found, 0, count, data);
  return found;
}

NATIVE(void, freeValue)(JNIEnv *env, jclass self, jlong value) { FREE(ReleaseValue, (void *)value); }
