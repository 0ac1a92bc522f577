// A small complete plugin in plain C: a lamp to switch on or off.
//
// It needs core/abi/include/forethought.h and a POSIX system:
//     cc -std=c11 -shared -fPIC -I core/abi/include tests/c/plugin.c -o liblamp.so -lpthread
//
// Reading order: the metadata, which is read without running anything; the two objects, a module and a world with a
// reference count; `invoke`, which answers immediately or from another thread.
#define _POSIX_C_SOURCE 200809L
#include "forethought.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ---- Metadata: one record for each component, in a section of the file.

#define PACKAGE "\"package\":\"lamp-in-c\",\"version\":\"1.0.0\""
#define COMPONENT "\"interface\":\"forethought.environment/1\""
#define RECORD "{\"abi_major\":1,\"abi_minor\":1,\"target\":\"" TARGET "\",\"panic\":\"unwind\"," PACKAGE "," COMPONENT ",\"id\":\"lamp\"}"
#if defined(__x86_64__)
#define TARGET "x86_64-unknown-linux-gnu"
#elif defined(__aarch64__)
#define TARGET "aarch64-unknown-linux-gnu"
#endif

static const struct __attribute__((packed)) {
    char magic[9];
    uint8_t length[4];
    char json[sizeof RECORD - 1];
} record __attribute__((section(".fth_meta"), used)) = {
    FTH_METADATA_MAGIC,
    {(sizeof RECORD - 1) & 255, (sizeof RECORD - 1) >> 8 & 255, 0, 0},
    RECORD,
};

// ---- Minimal JSON: finds where values start in a text.

typedef struct { const char *at, *end; } Text;

static Text skip_blanks(Text text) {
    while (text.at < text.end && strchr(" \t\r\n", *text.at)) text.at++;
    return text;
}

// Skips the string, object, array, number or word at the start of `text`.
static Text skip_value(Text text) {
    text = skip_blanks(text);
    int depth = 0;
    do {
        if (text.at == text.end) return text;
        char c = *text.at++;
        if (c == '"') {
            while (text.at < text.end && *text.at != '"') text.at += *text.at == '\\' ? 2 : 1;
            if (text.at >= text.end) return (Text){text.end, text.end};
            text.at++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (depth == 0) {
            while (text.at < text.end && !strchr(",}] \t\r\n", *text.at)) text.at++;
        }
    } while (depth > 0);
    return text;
}

// The next member of the object in `*rest` (initially just after its '{'); false at its end.
static bool next_member(Text *rest, Text *key, Text *value) {
    Text text = skip_blanks(*rest);
    if (text.at < text.end && *text.at == ',') text.at++;
    text = skip_blanks(text);
    if (text.at == text.end || *text.at != '"') return false;
    Text after = skip_value(text);
    *key = (Text){text.at + 1, after.at - 1};
    after = skip_blanks(after);
    if (after.at == after.end || *after.at != ':') return false;
    after.at++;
    after = skip_blanks(after);
    *rest = skip_value(after);
    *value = (Text){after.at, rest->at};
    return true;
}

static bool is(Text text, const char *word) {
    size_t length = strlen(word);
    return (size_t)(text.end - text.at) == length && memcmp(text.at, word, length) == 0;
}

static bool enter(Text *text) {
    *text = skip_blanks(*text);
    return text->at < text->end && *text->at++ == '{';
}

// The member `name` of the object `text`, or an empty text.
static Text member(Text text, const char *name) {
    Text key, value;
    if (enter(&text))
        while (next_member(&text, &key, &value))
            if (is(key, name)) return value;
    return (Text){text.end, text.end};
}

// ---- Messages.

static void release_body(void *owner, const uint8_t *at, size_t length) {
    (void)at, (void)length;
    free(owner);
}

// Releases everything in a request; what is needed has been copied.
static void release_request(FthMsg *request) {
    FthBuf buffers[2] = {request->body, request->meta};
    for (int i = 0; i < 2; i++)
        if (buffers[i].release) buffers[i].release(buffers[i].owner, buffers[i].ptr, buffers[i].len);
    for (size_t i = 0; i < request->objs.len; i++)
        request->objs.ptr[i].vtable->release(request->objs.ptr[i].data);
    if (request->objs.release) request->objs.release(request->objs.owner, request->objs.ptr, request->objs.len);
    for (size_t i = 0; i < request->blobs.len; i++) {
        FthBuf blob = request->blobs.ptr[i];
        if (blob.release) blob.release(blob.owner, blob.ptr, blob.len);
    }
    if (request->blobs.release) request->blobs.release(request->blobs.owner, request->blobs.ptr, request->blobs.len);
}

// Completes a call with a text and, if `object` is not null, an object, whose reference is given away.
static void complete(FthCompletion done, uint32_t status, const char *text, const FthObj *object) {
    char *body = strdup(text);
    FthMsg reply = {.size = sizeof reply, .codec = FTH_CODEC_JSON};
    reply.body = (FthBuf){(const uint8_t *)body, strlen(body), body, release_body};
    FthObj given;
    if (object) {
        given = *object;
        reply.objs = (FthObjs){&given, 1, NULL, NULL}; // The receiver moves it out before `done` returns.
    }
    done.done(done.ctx, status, &reply);
}

static void refuse(FthCompletion done, uint32_t status, const char *code, const char *message) {
    char text[256];
    snprintf(text, sizeof text, "{\"code\":\"%s\",\"message\":\"%s\",\"retryable\":false,\"chain\":[]}", code, message);
    complete(done, status, text, NULL);
}

static FthStr text_of(const char *text) { return (FthStr){(const uint8_t *)text, strlen(text)}; }

// ---- The world.

typedef struct {
    atomic_size_t references;
    pthread_mutex_t lock;
    long delay_ms;
    bool wanted, lit;
} Lamp;

static const FthObjVTable lamp_vtable;

static FthObj new_lamp(long delay_ms) {
    Lamp *lamp = calloc(1, sizeof *lamp);
    atomic_init(&lamp->references, 1);
    pthread_mutex_init(&lamp->lock, NULL);
    lamp->delay_ms = delay_ms;
    lamp->wanted = true;
    return (FthObj){&lamp_vtable, lamp};
}

static void lamp_retain(const void *data) { atomic_fetch_add(&((Lamp *)data)->references, 1); }

static void lamp_release(const void *data) {
    Lamp *lamp = (Lamp *)data;
    if (atomic_fetch_sub(&lamp->references, 1) > 1) return;
    pthread_mutex_destroy(&lamp->lock);
    free(lamp);
}

static FthStr lamp_interface(const void *data) {
    (void)data;
    return text_of("forethought.environment/1");
}

#define TURN "{\"seat\":0,\"observation\":{\"text\":\"The lamp is %s. Switch it %s.\"},\"legal_actions\":[\"on\",\"off\"]}"
static const char *word(bool lit) { return lit ? "on" : "off"; }

static void reset(Lamp *lamp, Text task, FthCompletion done) {
    char text[256];
    pthread_mutex_lock(&lamp->lock);
    lamp->wanted = is(task, "0");
    lamp->lit = !lamp->wanted;
    snprintf(text, sizeof text, TURN, word(lamp->lit), word(lamp->wanted));
    pthread_mutex_unlock(&lamp->lock);
    complete(done, FTH_OK, text, NULL); // Without the lock, because it runs the caller's code.
}

typedef struct {
    Lamp *lamp;
    char action[8];
    FthCompletion done;
} Step;

static void *step(void *argument) {
    Step *step = argument;
    Lamp *lamp = step->lamp;
    char text[512];
    struct timespec delay = {lamp->delay_ms / 1000, lamp->delay_ms % 1000 * 1000000};
    nanosleep(&delay, NULL);
    pthread_mutex_lock(&lamp->lock);
    if (strcmp(step->action, "on") == 0) lamp->lit = true;
    if (strcmp(step->action, "off") == 0) lamp->lit = false;
    bool reached = lamp->lit == lamp->wanted;
    snprintf(text, sizeof text, "{\"turn\":" TURN ",\"rewards\":[%d.0],\"terminated\":%s,\"truncated\":false}",
             word(lamp->lit), word(lamp->wanted), reached, reached ? "true" : "false");
    pthread_mutex_unlock(&lamp->lock);
    complete(step->done, FTH_OK, text, NULL);
    lamp_release(lamp);
    free(step);
    return NULL;
}

// Steps take time, so they do not run on the caller's thread.
static void start_step(Lamp *lamp, Text action, FthCompletion done) {
    Step *begun = calloc(1, sizeof *begun);
    size_t length = action.end - action.at;
    if (length >= 2 && length - 2 < sizeof begun->action) memcpy(begun->action, action.at + 1, length - 2);
    begun->lamp = lamp;
    begun->done = done;
    lamp_retain(lamp);
    pthread_t thread;
    if (pthread_create(&thread, NULL, step, begun) != 0) {
        lamp_release(lamp);
        free(begun);
        refuse(done, FTH_ERROR, "other", "no thread can be started");
        return;
    }
    pthread_detach(thread);
}

static void lamp_invoke(const void *data, FthStr name, FthMsg *request, const FthCompletion *completion, FthCall *out) {
    Lamp *lamp = (Lamp *)data;
    FthCompletion done = *completion;
    Text method = {(const char *)name.ptr, (const char *)name.ptr + name.len};
    Text body = {(const char *)request->body.ptr, (const char *)request->body.ptr + request->body.len};
    FthMsg taken = *request;
    *out = (FthCall){NULL, NULL}; // It cannot be cancelled.
    if (taken.codec != FTH_CODEC_JSON) {
        refuse(done, FTH_BAD_REQUEST, "bad_request", "a lamp understands only JSON");
    } else if (is(method, "spec")) {
        complete(done, FTH_OK,
                 "{\"name\":\"lamp\",\"version\":\"1\",\"seats\":[{\"name\":\"agent\"}],\"tasks\":2,"
                 "\"instructions\":\"Answer `on` or `off`.\",\"recovery\":\"replay\"}",
                 NULL);
    } else if (is(method, "spawn")) {
        FthObj other = new_lamp(lamp->delay_ms);
        complete(done, FTH_OK, "{\"object\":0}", &other);
    } else if (is(method, "reset")) {
        Text task = member(member(body, "reset"), "task");
        if (task.at == task.end) refuse(done, FTH_BAD_REQUEST, "bad_request", "reset without a task");
        else reset(lamp, task, done);
    } else if (is(method, "step")) {
        Text action = member(member(body, "action"), "text");
        if (action.at == action.end) refuse(done, FTH_BAD_REQUEST, "bad_request", "step without an action");
        else start_step(lamp, action, done);
    } else {
        refuse(done, FTH_UNIMPLEMENTED, "unimplemented", "a lamp has no such method");
    }
    release_request(&taken);
}

static const FthObjVTable lamp_vtable = {
    sizeof(FthObjVTable), lamp_retain, lamp_release, lamp_interface, lamp_invoke, 0,
};

// ---- The module: one static object.

static void keep(const void *data) { (void)data; }

static FthStr module_interface(const void *data) {
    (void)data;
    return text_of(FTH_MODULE_INTERFACE);
}

static void create(Text body, FthCompletion done) {
    Text wanted = member(body, "create"), config = member(wanted, "config"), key, value;
    if (!is(member(wanted, "kind"), "\"lamp\"") || !is(member(wanted, "interface"), "\"forethought.environment/1\"")) {
        refuse(done, FTH_ERROR, "not_found", "this plugin has only lamps");
        return;
    }
    long delay_ms = 0;
    if (enter(&config)) {
        while (next_member(&config, &key, &value)) {
            char *end = NULL;
            delay_ms = is(key, "delay_ms") ? strtol(value.at, &end, 10) : -1;
            if (delay_ms < 0 || end != value.end) {
                refuse(done, FTH_ERROR, "config", "a lamp has one setting, `delay_ms`, in milliseconds");
                return;
            }
        }
    }
    FthObj lamp = new_lamp(delay_ms);
    complete(done, FTH_OK, "{\"object\":0}", &lamp);
}

static void module_invoke(const void *data, FthStr name, FthMsg *request, const FthCompletion *completion, FthCall *out) {
    (void)data;
    FthCompletion done = *completion;
    Text method = {(const char *)name.ptr, (const char *)name.ptr + name.len};
    FthMsg taken = *request;
    *out = (FthCall){NULL, NULL};
    if (is(method, "describe")) {
        complete(done, FTH_OK,
                 "{" PACKAGE ",\"components\":[{" COMPONENT ",\"kind\":\"lamp\",\"summary\":\"a lamp to switch on or off\","
                 "\"schema\":{\"title\":\"Lamp\",\"description\":\"Settings of a lamp.\",\"type\":\"object\",\"additionalProperties\":false,"
                 "\"properties\":{\"delay_ms\":{\"type\":\"integer\",\"minimum\":0,\"default\":0,"
                 "\"description\":\"How long a switch takes, in milliseconds.\"}}}}]}",
                 NULL);
    } else if (is(method, "create")) {
        create((Text){(const char *)taken.body.ptr, (const char *)taken.body.ptr + taken.body.len}, done);
    } else if (is(method, "shutdown")) {
        complete(done, FTH_OK, "null", NULL);
    } else {
        refuse(done, FTH_UNIMPLEMENTED, "unimplemented", "a module has no such method");
    }
    release_request(&taken);
}

static const FthObjVTable module_vtable = {
    sizeof(FthObjVTable), keep, keep, module_interface, module_invoke, 0,
};

uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out) {
    if (host->abi_major != FTH_ABI_MAJOR || out->size < sizeof *out) return FTH_BAD_REQUEST;
    host->log(host->ctx, 4, text_of("lamp"), text_of("a lamp was plugged in"));
    out->abi_major = FTH_ABI_MAJOR;
    out->abi_minor = FTH_ABI_MINOR;
    out->module = (FthObj){&module_vtable, NULL};
    return FTH_OK;
}
