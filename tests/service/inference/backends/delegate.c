/* A TFLite delegate that takes the first `take` operators, and computes nothing of them. */
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } Ints;
typedef struct Context Context;
typedef struct Delegate Delegate;

/* As TFLite has them in c/common.h, to the last field that is used here. */
typedef struct {
  void* (*init)(Context*, const char*, size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, void*);
  int (*invoke)(Context*, void*);
  const char* (*profiling_string)(const Context*, const void*);
  int builtin_code;
  const char* custom_name;
  int version;
  void* external;
  void* async;
  unsigned long inplace;
} Registration;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context*, Ints**);
  void* tensors;
  void* graph;
  int (*resize_tensor)(Context*, void*, Ints*);
  void (*report_error)(Context*, const char*, ...);
  int (*add_tensors)(Context*, int, int*);
  int (*get_node_and_registration)(Context*, int, void**, Registration**);
  int (*replace)(Context*, Registration, const Ints*, Delegate*);
};

struct Delegate {
  void* data;
  int (*prepare)(Context*, Delegate*);
  void* copy_from;
  void* copy_to;
  void* free_handle;
  long long flags;
  void* opaque;
  int take;
};

static int succeed(Context* context, void* node) { return 0; }

static int prepare(Context* context, Delegate* delegate) {
  Ints* plan;
  context->get_execution_plan(context, &plan);
  int count = delegate->take < plan->size ? delegate->take : plan->size;
  if (count == 0) return 0;
  Ints* taken = malloc(sizeof(Ints) + count * sizeof(int));
  taken->size = count;
  memcpy(taken->data, plan->data, count * sizeof(int));
  Registration kernel = {.prepare = succeed, .invoke = succeed, .custom_name = "taken", .version = 1};
  int status = context->replace(context, kernel, taken, delegate);
  free(taken);
  return status;
}

Delegate* tflite_plugin_create_delegate(char** names, char** values, size_t count, void (*report)(const char*)) {
  Delegate* delegate = calloc(1, sizeof(Delegate));
  delegate->prepare = prepare;
  delegate->take = count ? atoi(values[0]) : 0;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
