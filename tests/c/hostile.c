// A plugin that breaks the contract, one way for each `mode` in the configuration of its one component.
//
// Build options: -DDESCRIBED="other" makes it describe a component that is not in its metadata, -DMARK="path" writes a
// file as soon as the library is loaded, -DMAJOR and -DENTRY set the version and the result of the entry function.
#define _POSIX_C_SOURCE 200809L
#include "forethought.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef DESCRIBED
#define DESCRIBED "hostile"
#endif
#ifndef MAJOR
#define MAJOR 1
#endif
#ifndef ENTRY
#define ENTRY FTH_OK
#endif

#define RECORD "{\"abi_major\":1,\"abi_minor\":1,\"target\":\"x86_64-unknown-linux-gnu\",\"panic\":\"unwind\",\"package\":\"hostile\"," \
               "\"version\":\"1.0.0\",\"interface\":\"forethought.environment/1\",\"id\":\"hostile\"}"
static const struct __attribute__((packed)) {
    char magic[9];
    uint8_t length[4];
    char json[sizeof RECORD - 1];
} record __attribute__((section(".fth_meta"), used)) = {
    FTH_METADATA_MAGIC, {(sizeof RECORD - 1) & 255, (sizeof RECORD - 1) >> 8, 0, 0}, RECORD,
};

#ifdef MARK
__attribute__((constructor)) static void mark(void) {
    FILE *file = fopen(MARK, "w");
    if (file) fclose(file);
}
#endif

static FthStr text(const char *text) { return (FthStr){(const uint8_t *)text, strlen(text)}; }

// ---- Replies. They are never freed, but each must be released once, which is counted.

static atomic_long unreleased;

static void count_release(void *owner, const uint8_t *at, size_t length) {
    (void)owner, (void)at, (void)length;
    atomic_fetch_sub(&unreleased, 1);
}

// Static memory, so that leak checkers do not report it.
static char *room(void) {
    static char rooms[1000][512];
    static atomic_int used;
    return rooms[atomic_fetch_add(&used, 1) % 1000];
}

static FthBuf body_of(const char *text) {
    char *copy = room();
    snprintf(copy, 512, "%s", text);
    atomic_fetch_add(&unreleased, 1);
    return (FthBuf){(const uint8_t *)copy, strlen(copy), NULL, count_release};
}

static void reply(FthCompletion done, uint32_t status, const char *body) {
    FthMsg message = {.size = sizeof message, .body = body_of(body)};
    done.done(done.ctx, status, &message);
}

static void reply_object(FthCompletion done, FthObj object) {
    const char *body = "{\"object\":0}";
    FthMsg message = {.size = sizeof message, .body = body_of(body), .objs = {&object, 1, NULL, NULL}};
    done.done(done.ctx, FTH_OK, &message);
}

// ---- The component. Its data pointer is the name of its mode.

static void keep(const void *data) { (void)data; }

static const FthStr ENVIRONMENT = {(const uint8_t *)"forethought.environment/1", 25};
static FthStr environment(const void *data) { (void)data; return ENVIRONMENT; }
static FthStr stranger(const void *data) { (void)data; return text("somebody.else/1"); }
static FthStr not_text(const void *data) { (void)data; return text("\xff\xfe"); }
static FthStr nowhere(const void *data) { (void)data; return (FthStr){NULL, 7}; }

#define TURN "{\"observation\":{\"text\":\"fine\"}}"
#define TRANSITION "{\"turn\":" TURN ",\"rewards\":[0.0]}"

static void *twice_later(void *argument) {
    FthCompletion done = *(FthCompletion *)argument;
    free(argument);
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    reply(done, FTH_OK, TRANSITION);
    reply(done, FTH_OK, TRANSITION);
    return NULL;
}

static void start(void *(*run)(void *), FthCompletion done) {
    FthCompletion *copy = malloc(sizeof *copy);
    *copy = done;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, copy) == 0) pthread_detach(thread);
}

// A call that is answered when it is cancelled, from within `cancel` and once more from a thread.
static void cancel(const void *data) {
    FthCompletion done = *(const FthCompletion *)data;
    reply(done, FTH_OK, TRANSITION);
    start(twice_later, done);
}
static void release_call(const void *data) { free((void *)data); }
static const FthCallVTable CALL = {sizeof(FthCallVTable), cancel, release_call};

static void misbehave(const char *mode, FthCompletion done, FthCall *out) {
    static uint8_t misaligned[3 * sizeof(FthObj)];
    if (strcmp(mode, "never") == 0) return;
    if (strcmp(mode, "twice_later") == 0) {
        start(twice_later, done);
        return;
    }
    if (strcmp(mode, "after_cancel") == 0) {
        FthCompletion *copy = malloc(sizeof *copy);
        *copy = done;
        *out = (FthCall){copy, &CALL};
        return;
    }
    if (strcmp(mode, "null_message") == 0) {
        done.done(done.ctx, FTH_OK, NULL);
        return;
    }
    FthMsg message = {.size = sizeof message, .body = body_of(TRANSITION)};
    FthObj object = {NULL, NULL};
    uint32_t status = FTH_OK;
    if (strcmp(mode, "twice") == 0) {
        reply(done, FTH_OK, TRANSITION);
    } else if (strcmp(mode, "ghost") == 0) {
        reply((FthCompletion){(char *)done.ctx + (1 << 20), done.done}, FTH_OK, TRANSITION);
    } else if (strcmp(mode, "status") == 0) {
        status = 77;
    } else if (strcmp(mode, "error_that_is_none") == 0) {
        status = FTH_ERROR;
        memcpy((char *)message.body.ptr, "[\"", 2);
    } else if (strcmp(mode, "not_utf8") == 0) {
        memcpy(strstr((char *)message.body.ptr, "fine"), "\xff\xfe\xff\xfe", 4);
    } else if (strcmp(mode, "not_json") == 0) {
        message.body.len -= 1;
    } else if (strcmp(mode, "empty") == 0) {
        message.body.len = 0;
    } else if (strcmp(mode, "null_body") == 0) {
        message.body.ptr = NULL;
    } else if (strcmp(mode, "impossible_length") == 0) {
        message.body.len = SIZE_MAX;
    } else if (strcmp(mode, "absurd_length") == 0) {
        message.body.len = (size_t)1 << 40;
    } else if (strcmp(mode, "small_message") == 0) {
        message.size = 16;
        atomic_fetch_sub(&unreleased, 1); // The body is not within 16 bytes, so it cannot be released.
    } else if (strcmp(mode, "large_message") == 0) {
        message.size = 4096; // Allowed: as from a newer version.
    } else if (strcmp(mode, "codec") == 0) {
        message.codec = 9;
    } else if (strcmp(mode, "meta") == 0) {
        message.meta = body_of("not json");
    } else if (strcmp(mode, "null_objects") == 0) {
        message.objs.len = 3;
    } else if (strcmp(mode, "misaligned_objects") == 0) {
        message.objs = (FthObjs){(FthObj *)(misaligned + 1), 2, NULL, NULL};
    } else if (strcmp(mode, "endless_objects") == 0) {
        message.objs = (FthObjs){(FthObj *)misaligned, SIZE_MAX, NULL, NULL};
    } else if (strcmp(mode, "endless_blobs") == 0) {
        message.blobs = (FthBufs){(FthBuf *)misaligned, SIZE_MAX / 2, NULL, NULL};
    } else if (strcmp(mode, "no_vtable") == 0) {
        message.objs = (FthObjs){&object, 1, NULL, NULL};
    }
    done.done(done.ctx, status, &message);
}

static void environment_invoke(const void *data, FthStr method, FthMsg *request, const FthCompletion *done, FthCall *out);

#define VTABLE(size, interface) {size, keep, keep, interface, environment_invoke, 0}
static const FthObjVTable FINE = VTABLE(sizeof(FthObjVTable), environment);
static const FthObjVTable OLDER = VTABLE(offsetof(FthObjVTable, codecs), environment);
static const FthObjVTable TINY = VTABLE(8, environment);
static const FthObjVTable STRANGER = VTABLE(sizeof(FthObjVTable), stranger);
static const FthObjVTable NOT_TEXT = VTABLE(sizeof(FthObjVTable), not_text);
static const FthObjVTable NOWHERE = VTABLE(sizeof(FthObjVTable), nowhere);
static const struct { FthObjVTable known; void *unknown[2]; } NEWER = {
    VTABLE(sizeof(FthObjVTable) + 2 * sizeof(void *), environment), {NULL, NULL},
};

static int is(FthStr name, const char *word) {
    return name.len == strlen(word) && memcmp(name.ptr, word, name.len) == 0;
}

static void release_request(FthMsg *request) {
    FthMsg taken = *request;
    if (taken.body.release) taken.body.release(taken.body.owner, taken.body.ptr, taken.body.len);
    if (taken.meta.release) taken.meta.release(taken.meta.owner, taken.meta.ptr, taken.meta.len);
    for (size_t i = 0; i < taken.objs.len; i++) taken.objs.ptr[i].vtable->release(taken.objs.ptr[i].data);
    if (taken.objs.release) taken.objs.release(taken.objs.owner, taken.objs.ptr, taken.objs.len);
}

static void environment_invoke(const void *data, FthStr method, FthMsg *request, const FthCompletion *done, FthCall *out) {
    *out = (FthCall){NULL, NULL};
    release_request(request);
    if (is(method, "reset")) {
        char turn[96];
        snprintf(turn, sizeof turn, "{\"observation\":{\"text\":\"%ld\"}}", atomic_load(&unreleased));
        reply(*done, FTH_OK, turn); // Number of replies that have not been released.
    } else if (is(method, "spec")) {
        reply(*done, FTH_OK, "{\"name\":\"hostile\",\"seats\":[{\"name\":\"agent\"}]}");
    } else {
        misbehave(data, *done, out);
    }
}

// ---- The module.

static FthStr module_interface(const void *data) {
    (void)data;
    return text(FTH_MODULE_INTERFACE);
}

static const struct { const char *mode; const FthObjVTable *vtable; } VTABLES[] = {
    {"older", &OLDER}, {"newer", &NEWER.known}, {"tiny_vtable", &TINY}, {"stranger", &STRANGER},
    {"interface_not_text", &NOT_TEXT}, {"interface_nowhere", &NOWHERE}, {"null_vtable", NULL},
};

static void create(FthMsg *request, FthCompletion done) {
    FthObj object = {&FINE, NULL};
    char *mode = room();
    const char *body = (const char *)request->body.ptr, *end = body + request->body.len;
    while (body < end - 8 && memcmp(body, "\"mode\":\"", 8) != 0) body++;
    for (int i = 0; body < end - 8 && i < 31 && body[8 + i] != '"'; i++) mode[i] = body[8 + i];
    for (size_t i = 0; i < sizeof VTABLES / sizeof *VTABLES; i++)
        if (strcmp(mode, VTABLES[i].mode) == 0) object.vtable = VTABLES[i].vtable;
    object.data = mode;
    release_request(request);
    reply_object(done, object);
}

static void module_invoke(const void *data, FthStr method, FthMsg *request, const FthCompletion *done, FthCall *out) {
    (void)data;
    *out = (FthCall){NULL, NULL};
    if (is(method, "create")) {
        create(request, *done);
        return;
    }
    release_request(request);
    if (is(method, "describe")) {
        reply(*done, FTH_OK,
              "{\"package\":\"hostile\",\"version\":\"1.0.0\",\"components\":[{\"interface\":\"forethought.environment/1\","
              "\"kind\":\"" DESCRIBED "\",\"summary\":\"breaks the contract\",\"schema\":{\"type\":\"object\",\"properties\":"
              "{\"mode\":{\"type\":\"string\",\"description\":\"How.\"}}}}]}");
    } else {
        reply(*done, is(method, "shutdown") ? FTH_OK : FTH_UNIMPLEMENTED, "null");
    }
}

static const FthObjVTable MODULE = {sizeof(FthObjVTable), keep, keep, module_interface, module_invoke, 0};

uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out) {
    (void)host;
    if (ENTRY == FTH_OK) {
        out->abi_major = MAJOR;
        out->abi_minor = FTH_ABI_MINOR;
        out->module = (FthObj){&MODULE, NULL};
    }
    return ENTRY;
}
