// The frozen C contract between the program and a plugin library: layouts, numbers, names, and no code.
// Generated from core/abi/src/lib.rs by `cargo xtask header`.
//
// # Summary of the contract
// - **Objects.** `FthObj` is one owned strong reference. The only operation on an object is
//   `invoke(method, message, completion) -> call`, from any thread, concurrently. No function here may block.
// - **Messages.** The callee always moves `FthMsg *` out immediately, also on error; the caller never touches it
//   again. Each buffer has its own release function, which is called exactly once and never replaced by the
//   receiver's own allocator; `release == NULL` means there is nothing to free.
// - **Completion.** `done` is called exactly once for each `invoke`, possibly before it returns, from any thread.
//   After that the callee no longer uses `ctx`. `done` stores and wakes, so call it without holding locks.
// - **Calls.** The caller releases `FthCall` once, if `data` is not null. `cancel` is idempotent and advisory;
//   `FTH_CANCELLED` means that the work has already been dropped.
// - **Unwinding** never crosses the boundary: each side catches its own panics.
// - **Growth.** Structs with a `size` grow at their tail, and a field is read only if `size` covers it. The host
//   table and every vtable live until the process exits: libraries are never unloaded.

#ifndef FORETHOUGHT_H
#define FORETHOUGHT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The only symbol that a library exports; its type is `FthEntry`.
#define FTH_ENTRY_SYMBOL "forethought_plugin_entry_v1"

// Section with metadata records, in ELF and PE files.
#define FTH_METADATA_SECTION ".fth_meta"

// Segment and section with metadata records, in Mach-O files.
#define FTH_METADATA_SECTION_MACHO "__DATA,__fth_meta"

// Start of each metadata record, followed by a little-endian `u32` length and that much JSON.
#define FTH_METADATA_MAGIC "FTHMETA1"

// Interface of the object that the entry function returns.
#define FTH_MODULE_INTERFACE "forethought.module/1"

// Major version: any change here except a longer tail needs a new one, with a new entry symbol.
#define FTH_ABI_MAJOR 1

// Minor version: number of fields added to tails.
#define FTH_ABI_MINOR 1

// Status of a completion: the reply follows.
#define FTH_OK 0

// Status of a completion: the component's own error.
#define FTH_ERROR 1

// Status of a completion: the callee panicked; the object must not be called again.
#define FTH_PANIC 2

// Status of a completion: cancelled, and the work is already dropped.
#define FTH_CANCELLED 3

// Status of a completion: the object has no such method; the caller's default body applies.
#define FTH_UNIMPLEMENTED 4

// Status of a completion: the request could not be read.
#define FTH_BAD_REQUEST 5

// Status of a completion: the callee's side is shutting down.
#define FTH_SHUTDOWN 6

// Body codec: JSON. Every object understands it.
#define FTH_CODEC_JSON 0

// Body codec: MessagePack with named fields; used if `FthObjVTable.codecs` includes it.
#define FTH_CODEC_MESSAGEPACK 1

// Borrowed UTF-8 text, valid for the duration of the call.
typedef struct FthStr {
  // First byte.
  const uint8_t *ptr;
  // Length in bytes.
  size_t len;
} FthStr;

// The program's functions for a library.
typedef struct FthHost {
  // Size of this struct in the version of its maker.
  size_t size;
  // `FTH_ABI_MAJOR` of the program.
  uint32_t abi_major;
  // `FTH_ABI_MINOR` of the program.
  uint32_t abi_minor;
  // Passed to every function of this struct.
  const void *ctx;
  // Worker threads for the library's async runtime; 0 leaves the number to the library.
  uint32_t worker_threads;
  // The most detailed level that the program logs: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
  uint32_t max_log_level;
  // Writes an event to the program's log.
  void (*log)(const void *ctx, uint32_t level, struct FthStr target, struct FthStr msg);
  // A table of additional functions by name and version; null if the program does not have it.
  const void *(*get_extension)(const void *ctx, struct FthStr id);
} FthHost;

// An owned buffer.
typedef struct FthBuf {
  // First byte; need not be aligned.
  const uint8_t *ptr;
  // Length in bytes.
  size_t len;
  // Passed to `release`.
  void *owner;
  // Frees the buffer; called exactly once with `owner`, `ptr` and `len`.
  void (*release)(void *owner, const uint8_t *ptr, size_t len);
} FthBuf;

// An owned array of objects. The receiver moves the elements out, then releases only the array.
typedef struct FthObjs {
  // First element.
  struct FthObj *ptr;
  // Number of elements.
  size_t len;
  // Passed to `release`.
  void *owner;
  // Frees the array, not its elements.
  void (*release)(void *owner, struct FthObj *ptr, size_t len);
} FthObjs;

// An owned array of buffers. The receiver moves the elements out, then releases only the array.
typedef struct FthBufs {
  // First element.
  struct FthBuf *ptr;
  // Number of elements.
  size_t len;
  // Passed to `release`.
  void *owner;
  // Frees the array, not its elements.
  void (*release)(void *owner, struct FthBuf *ptr, size_t len);
} FthBufs;

// A request or a reply.
typedef struct FthMsg {
  // Size of this struct in the version of its maker.
  uint32_t size;
  // Encoding of `body`: `FTH_CODEC_JSON` or `FTH_CODEC_MESSAGEPACK`. A reply uses the codec of its request.
  uint32_t codec;
  // Reserved; 0.
  uint64_t flags;
  // Request: a map of arguments by name. Reply: the value, or `{code, message, retryable, chain}` if not `FTH_OK`.
  struct FthBuf body;
  // Objects, to which the body refers as `{"object": index}`.
  struct FthObjs objs;
  // Binary attachments, to which the body refers by index; numbers in them are little-endian.
  struct FthBufs blobs;
  // JSON `{traceparent, deadline_unix_ms}`, both optional; may be empty.
  struct FthBuf meta;
} FthMsg;

// Receives the reply of a call.
typedef struct FthCompletion {
  // Passed to `done`; has a meaning only for the caller.
  void *ctx;
  // Called exactly once, from any thread; moves the message out.
  void (*done)(void *ctx, uint32_t status, struct FthMsg *msg);
} FthCompletion;

// Functions of a call.
typedef struct FthCallVTable {
  // Size of this struct in the version of its maker.
  size_t size;
  // Requests that the work be dropped. Idempotent.
  void (*cancel)(const void*);
  // Releases the handle; the call continues.
  void (*release)(const void*);
} FthCallVTable;

// A call in flight. `data` is null if it has already finished or cannot be cancelled.
typedef struct FthCall {
  // Passed to every function of the vtable.
  const void *data;
  // Its functions.
  const struct FthCallVTable *vtable;
} FthCall;

// Functions of an object.
typedef struct FthObjVTable {
  // Size of this struct in the version of its maker.
  size_t size;
  // Adds a strong reference.
  void (*retain)(const void*);
  // Releases a strong reference; the last one drops the object.
  void (*release)(const void*);
  // Interface name and major version, such as `forethought.environment/1`; lives until the process exits.
  struct FthStr (*interface)(const void*);
  // Calls a method. `out` is always written.
  void (*invoke)(const void *data,
                 struct FthStr method,
                 struct FthMsg *req,
                 const struct FthCompletion *done,
                 struct FthCall *out);
  // Since minor version 1. Codecs that the object understands besides JSON: bit n means codec n.
  uint64_t codecs;
} FthObjVTable;

// One owned strong reference to an object.
typedef struct FthObj {
  // Its functions.
  const struct FthObjVTable *vtable;
  // Passed to every function of the vtable.
  const void *data;
} FthObj;

// A library's answer to the entry call.
typedef struct FthPlugin {
  // Size of this struct in the program's version; the library must not write past it.
  size_t size;
  // `FTH_ABI_MAJOR` of the library.
  uint32_t abi_major;
  // `FTH_ABI_MINOR` of the library.
  uint32_t abi_minor;
  // Its root object, of interface `FTH_MODULE_INTERFACE`.
  struct FthObj module;
} FthPlugin;

// Type of the entry symbol: returns `FTH_OK` with `out` filled in, or another status with `out` untouched.
typedef uint32_t (*FthEntry)(const struct FthHost *host, struct FthPlugin *out);

// The only function that a library defines and exports; `FthEntry` describes what it returns.
uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out);

#ifdef __cplusplus
}
#endif

#endif
