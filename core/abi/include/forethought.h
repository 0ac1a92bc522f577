// The frozen C contract between the program and a plugin library: layouts, numbers, names, and no code.
// Generated from core/abi/src/lib.rs by `cargo xtask header`.
//
// # The contract in short
// - **Objects.** `FthObj` is one owned strong reference. All that can be done with an object is
//   `invoke(method, message, completion) -> call`, from any thread, concurrently. No function here may block.
// - **Messages.** The callee moves `FthMsg *` out at once, always, also on error; the caller never touches it
//   again. Each buffer carries its own release function, which is called exactly once and never replaced by the
//   receiver's own allocator; `release == NULL`: nothing to free.
// - **Completion.** `done` fires exactly once for each `invoke`, possibly before it returns, from any thread. After
//   it has fired, the callee no longer uses `ctx`. It stores and wakes, so call it without holding locks.
// - **Calls.** The caller releases `FthCall` once, if `data` is not null. `cancel` is idempotent and advisory;
//   `FTH_CANCELLED` means that the work has already been dropped.
// - **Unwinding** never crosses: each side catches its own.
// - **Growth.** Structs with a `size` grow at their tail, and a field is read only if `size` covers it. The host
//   table and every vtable live until the process exits: libraries are never unloaded.

#ifndef FORETHOUGHT_H
#define FORETHOUGHT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The one symbol that a library exports; its type is `FthEntry`.
#define FTH_ENTRY_SYMBOL "forethought_plugin_entry_v1"

// Section of ELF and PE files that holds metadata records.
#define FTH_METADATA_SECTION ".fth_meta"

// Section of Mach-O files that holds metadata records, after its segment.
#define FTH_METADATA_SECTION_MACHO "__DATA,__fth_meta"

// What each metadata record starts with; a little-endian `u32` length and that much JSON follow.
#define FTH_METADATA_MAGIC "FTHMETA1"

// Interface of the object that the entry function hands over.
#define FTH_MODULE_INTERFACE "forethought.module/1"

// Major version: a change of anything here but a tail makes a new one, with a new entry symbol.
#define FTH_ABI_MAJOR 1

// Minor version: counts the fields that tails have gained.
#define FTH_ABI_MINOR 1

// Status of a completion: the reply follows.
#define FTH_OK 0

// Status of a completion: the component's own error.
#define FTH_ERROR 1

// Status of a completion: the callee panicked; the object is not to be trusted any more.
#define FTH_PANIC 2

// Status of a completion: withdrawn, and the work is already dropped.
#define FTH_CANCELLED 3

// Status of a completion: the object has no such method; the caller's default applies.
#define FTH_UNIMPLEMENTED 4

// Status of a completion: the request could not be read.
#define FTH_BAD_REQUEST 5

// Status of a completion: the callee's side is going down.
#define FTH_SHUTDOWN 6

// Body codec: JSON. Every object understands it.
#define FTH_CODEC_JSON 0

// Body codec: MessagePack with named fields; used where `FthObjVTable.codecs` offers it.
#define FTH_CODEC_MESSAGEPACK 1

// Borrowed UTF-8, valid for the call.
typedef struct FthStr {
  // First byte.
  const uint8_t *ptr;
  // Length in bytes.
  size_t len;
} FthStr;

// What the program offers to a library.
typedef struct FthHost {
  // Size of this struct as its maker knows it.
  size_t size;
  // `FTH_ABI_MAJOR` of the program.
  uint32_t abi_major;
  // `FTH_ABI_MINOR` of the program.
  uint32_t abi_minor;
  // Passed to every function of this struct.
  const void *ctx;
  // Worker threads that the library's async runtime should have; 0: as it sees fit.
  uint32_t worker_threads;
  // Most detailed level that the program logs: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
  uint32_t max_log_level;
  // Puts an event into the program's log.
  void (*log)(const void *ctx, uint32_t level, struct FthStr target, struct FthStr msg);
  // A table of further functions by name and version; null if the program does not know it.
  const void *(*get_extension)(const void *ctx, struct FthStr id);
} FthHost;

// An owned buffer.
typedef struct FthBuf {
  // First byte; of no alignment.
  const uint8_t *ptr;
  // Length in bytes.
  size_t len;
  // Passed to `release`.
  void *owner;
  // Frees the buffer; called exactly once with `owner`, `ptr` and `len`.
  void (*release)(void *owner, const uint8_t *ptr, size_t len);
} FthBuf;

// An owned array of objects. The receiver moves the elements out, then releases the array alone.
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

// An owned array of buffers. The receiver moves the elements out, then releases the array alone.
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
  // Size of this struct as its maker knows it.
  uint32_t size;
  // How `body` is encoded: `FTH_CODEC_JSON` or `FTH_CODEC_MESSAGEPACK`. A reply has the codec of its request.
  uint32_t codec;
  // None are defined; 0.
  uint64_t flags;
  // Request: a map of arguments by name. Reply: the value. Not `FTH_OK`: `{code, message, retryable, chain}`.
  struct FthBuf body;
  // Objects, to which the body refers as `{"object": index}`.
  struct FthObjs objs;
  // Binary attachments, to which the body refers by index; numbers in them are little-endian.
  struct FthBufs blobs;
  // JSON `{traceparent, deadline_unix_ms}`, each optional; of length 0: none.
  struct FthBuf meta;
} FthMsg;

// Where a reply goes.
typedef struct FthCompletion {
  // Passed to `done`; of meaning to the caller alone.
  void *ctx;
  // Called exactly once, from any thread. Moves the message out.
  void (*done)(void *ctx, uint32_t status, struct FthMsg *msg);
} FthCompletion;

// What can be done with a call.
typedef struct FthCallVTable {
  // Size of this struct as its maker knows it.
  size_t size;
  // Asks for the work to be dropped. Idempotent.
  void (*cancel)(const void*);
  // Gives the handle up; the call goes on.
  void (*release)(const void*);
} FthCallVTable;

// A call under way. `data` is null if it has finished already or cannot be cancelled.
typedef struct FthCall {
  // Passed to every function of the vtable.
  const void *data;
  // What can be done with it.
  const struct FthCallVTable *vtable;
} FthCall;

// What can be done with an object.
typedef struct FthObjVTable {
  // Size of this struct as its maker knows it.
  size_t size;
  // One strong reference more.
  void (*retain)(const void*);
  // One strong reference less; the last one drops the object.
  void (*release)(const void*);
  // Interface name and major version, such as `forethought.environment/1`; lives until the process exits.
  struct FthStr (*interface)(const void*);
  // Calls a method. `out` is always written.
  void (*invoke)(const void *data,
                 struct FthStr method,
                 struct FthMsg *req,
                 const struct FthCompletion *done,
                 struct FthCall *out);
  // Minor 1. Codecs that the object understands beside JSON: bit n stands for codec n.
  uint64_t codecs;
} FthObjVTable;

// One owned strong reference to an object.
typedef struct FthObj {
  // What can be done with it.
  const struct FthObjVTable *vtable;
  // Passed to every function of the vtable.
  const void *data;
} FthObj;

// What a library hands over.
typedef struct FthPlugin {
  // Size of this struct; the program fills in what it knows, and the library writes no further.
  size_t size;
  // `FTH_ABI_MAJOR` of the library.
  uint32_t abi_major;
  // `FTH_ABI_MINOR` of the library.
  uint32_t abi_minor;
  // Its root object, of interface `FTH_MODULE_INTERFACE`.
  struct FthObj module;
} FthPlugin;

// Type of the entry symbol: 0, and `out` filled in; or a status other than `FTH_OK`, and `out` untouched.
typedef uint32_t (*FthEntry)(const struct FthHost *host, struct FthPlugin *out);

// The one function that a library defines and exports; `FthEntry` says what it returns.
uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out);

#ifdef __cplusplus
}
#endif

#endif
