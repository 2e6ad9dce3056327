/* Writes down what a process does to the files below a directory, in the order in which it is done. The test of power
 * cuts (tests/it/power.rs) preloads this into the service, and trace.rs reads what it wrote.
 *
 *   RECORD_BELOW  the directory, absolute
 *   RECORD_TO     the trace, which is elsewhere; several processes may follow each other in it
 *   RECORD_KILL   after so many records the process kills itself; 0 for never
 *
 * A call that changes something is made and recorded under one lock, so the order of the records is the order of the
 * changes, and none is half recorded when the process dies at a record or at its end. A sync runs outside of the lock,
 * as it would without us. It is recorded only once it succeeded, with the length that the trace had when it began,
 * because only what was done by then is surely on the disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kinds of records, as trace.rs knows them. */
enum { START, OPEN, CLOSE, DUP, WRITE, TRUNCATE, EXTEND, SYNC, SYNC_RANGE, MAKE_DIRECTORY, REMOVE, RENAME, UNKNOWN };

/* A record: this, and `bytes` bytes of data. */
struct head {
    uint32_t kind;
    int32_t fd;
    uint64_t at;
    uint64_t bytes;
};

#define FILES (1 << 16)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char below[FILES]; /* whether a file descriptor is of a file below the directory */
static const char *root = NULL;
static int trace = -1;
static uint64_t length = 0;
static long left = 0;

/* The function that this one stands before. */
#define REAL(name) ({ \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    real; \
})

static int is_below(const char *path) {
    size_t bytes = root ? strlen(root) : 0;
    return bytes && !strncmp(path, root, bytes) && (path[bytes] == '/' || !path[bytes]);
}

static int is_ours(int fd) {
    return fd >= 0 && fd < FILES && __atomic_load_n(&below[fd], __ATOMIC_ACQUIRE);
}

static void set_ours(int fd, unsigned char is) {
    if (fd >= FILES) abort();
    __atomic_store_n(&below[fd], is, __ATOMIC_RELEASE);
}

static void put(const void *data, size_t bytes) {
    while (bytes) {
        ssize_t done = REAL(write)(trace, data, bytes);
        if (done <= 0) abort();
        data = (const char *)data + done;
        bytes -= done;
        length += done;
    }
}

/* Writes a record whose data are the first `bytes` bytes of `parts`. The lock is held. */
static void record(int kind, int fd, uint64_t at, const struct iovec *parts, size_t bytes) {
    int error = errno;
    struct head head = {kind, fd, at, bytes};
    put(&head, sizeof head);
    for (; bytes; parts++) {
        size_t part = parts->iov_len < bytes ? parts->iov_len : bytes;
        put(parts->iov_base, part);
        bytes -= part;
    }
    if (left && !--left) kill(getpid(), SIGKILL);
    errno = error;
}

static void record_text(int kind, int fd, uint64_t at, const char *text) {
    struct iovec part = {(void *)text, strlen(text)};
    record(kind, fd, at, &part, part.iov_len);
}

/* Makes a call under the lock, and records it with `then` if it succeeded. */
#define LOCKED(type, call, then) ({ \
    pthread_mutex_lock(&lock); \
    type done = call; \
    if (done >= 0) then; \
    pthread_mutex_unlock(&lock); \
    done; \
})

__attribute__((constructor)) static void begin(void) {
    const char *to = getenv("RECORD_TO"), *kill_at = getenv("RECORD_KILL");
    if (!to) return;
    trace = REAL(open)(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (trace < 0) abort();
    length = lseek(trace, 0, SEEK_END);
    left = kill_at ? atol(kill_at) : 0;
    root = getenv("RECORD_BELOW");
    record(START, -1, 0, NULL, 0);
}

/* Threads may still run when the process ends. From here on they cannot change anything unrecorded. */
__attribute__((destructor)) static void end(void) {
    pthread_mutex_lock(&lock);
}

/* === files are opened and closed === */

static void opened(int fd, int flags, const char *path) {
    int creates = flags & O_CREAT ? 1 : 0, truncates = flags & O_TRUNC ? 2 : 0;
    set_ours(fd, 1);
    record_text(OPEN, fd, creates | truncates, path);
}

#define MODE(flags) ({ \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags) & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    mode; \
})

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        mode_t mode = MODE(flags); \
        if (!is_below(path)) return REAL(name)(path, flags, mode); \
        return LOCKED(int, REAL(name)(path, flags, mode), opened(done, flags, path)); \
    }
#define OPENS_AT(name) \
    int name(int directory, const char *path, int flags, ...) { \
        mode_t mode = MODE(flags); \
        if (!is_below(path)) return REAL(name)(directory, path, flags, mode); \
        return LOCKED(int, REAL(name)(directory, path, flags, mode), opened(done, flags, path)); \
    }
#define CREATES(name) \
    int name(const char *path, mode_t mode) { \
        if (!is_below(path)) return REAL(name)(path, mode); \
        return LOCKED(int, REAL(name)(path, mode), opened(done, O_CREAT | O_TRUNC, path)); \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
CREATES(creat)
CREATES(creat64)

/* Recorded first: another thread may be given the same number as soon as it is free. */
int close(int fd) {
    if (is_ours(fd)) {
        LOCKED(int, 0, (set_ours(fd, 0), record(CLOSE, fd, done, NULL, 0)));
    }
    return REAL(close)(fd);
}

static void duplicated(int fd, int to) {
    set_ours(to, 1);
    record(DUP, fd, to, NULL, 0);
}

#define CONTROLS(name) \
    int name(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        int duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC; \
        if (!duplicates || !is_ours(fd)) return REAL(name)(fd, command, argument); \
        return LOCKED(int, REAL(name)(fd, command, argument), duplicated(fd, done)); \
    }
CONTROLS(fcntl)
CONTROLS(fcntl64)

/* === files are written and synced === */

static uint64_t before(int fd, ssize_t done) {
    return lseek(fd, 0, SEEK_CUR) - done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    struct iovec part = {(void *)data, bytes};
    if (!is_ours(fd)) return REAL(write)(fd, data, bytes);
    return LOCKED(ssize_t, REAL(write)(fd, data, bytes), record(WRITE, fd, before(fd, done), &part, done));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_ours(fd)) return REAL(writev)(fd, parts, count);
    return LOCKED(ssize_t, REAL(writev)(fd, parts, count), record(WRITE, fd, before(fd, done), parts, done));
}

#define WRITES_AT(name, offset) \
    ssize_t name(int fd, const void *data, size_t bytes, offset at) { \
        struct iovec part = {(void *)data, bytes}; \
        if (!is_ours(fd)) return REAL(name)(fd, data, bytes, at); \
        return LOCKED(ssize_t, REAL(name)(fd, data, bytes, at), record(WRITE, fd, at, &part, done)); \
    }
#define WRITES_PARTS_AT(name, offset) \
    ssize_t name(int fd, const struct iovec *parts, int count, offset at) { \
        if (!is_ours(fd)) return REAL(name)(fd, parts, count, at); \
        return LOCKED(ssize_t, REAL(name)(fd, parts, count, at), record(WRITE, fd, at, parts, done)); \
    }
#define TRUNCATES(name, offset) \
    int name(int fd, offset to) { \
        if (!is_ours(fd)) return REAL(name)(fd, to); \
        return LOCKED(int, REAL(name)(fd, to), record(TRUNCATE, fd, to, NULL, 0)); \
    }
#define ALLOCATES(name, offset) \
    int name(int fd, int mode, offset at, offset bytes) { \
        if (!is_ours(fd)) return REAL(name)(fd, mode, at, bytes); \
        int kind = mode ? UNKNOWN : EXTEND; \
        return LOCKED(int, REAL(name)(fd, mode, at, bytes), record(kind, fd, at + bytes, NULL, 0)); \
    }
WRITES_AT(pwrite, off_t)
WRITES_AT(pwrite64, off64_t)
WRITES_PARTS_AT(pwritev, off_t)
WRITES_PARTS_AT(pwritev64, off64_t)
TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)
ALLOCATES(fallocate, off_t)
ALLOCATES(fallocate64, off64_t)

static int synced(int fd, int (*sync)(int)) {
    if (!is_ours(fd)) return sync(fd);
    uint64_t began = LOCKED(int64_t, (int64_t)length, (void)0);
    int outcome = sync(fd);
    return LOCKED(int, outcome, record(SYNC, fd, began, NULL, 0));
}

int fsync(int fd) {
    return synced(fd, REAL(fsync));
}

int fdatasync(int fd) {
    return synced(fd, REAL(fdatasync));
}

int sync_file_range(int fd, off64_t at, off64_t bytes, unsigned flags) {
    int outcome = REAL(sync_file_range)(fd, at, bytes, flags);
    return is_ours(fd) ? LOCKED(int, outcome, record(SYNC_RANGE, fd, at, NULL, 0)) : outcome;
}

/* === names === */

int mkdir(const char *path, mode_t mode) {
    if (!is_below(path)) return REAL(mkdir)(path, mode);
    return LOCKED(int, REAL(mkdir)(path, mode), record_text(MAKE_DIRECTORY, -1, 0, path));
}

int unlink(const char *path) {
    if (!is_below(path)) return REAL(unlink)(path);
    return LOCKED(int, REAL(unlink)(path), record_text(REMOVE, -1, 0, path));
}

int unlinkat(int directory, const char *path, int flags) {
    if (!is_below(path)) return REAL(unlinkat)(directory, path, flags);
    return LOCKED(int, REAL(unlinkat)(directory, path, flags), record_text(REMOVE, -1, 0, path));
}

static void renamed(const char *from, const char *to) {
    struct iovec parts[2] = {{(void *)from, strlen(from)}, {(void *)to, strlen(to)}};
    record(RENAME, -1, parts[0].iov_len, parts, parts[0].iov_len + parts[1].iov_len);
}

int rename(const char *from, const char *to) {
    if (!is_below(from)) return REAL(rename)(from, to);
    return LOCKED(int, REAL(rename)(from, to), renamed(from, to));
}

int renameat(int one, const char *from, int other, const char *to) {
    if (!is_below(from)) return REAL(renameat)(one, from, other, to);
    return LOCKED(int, REAL(renameat)(one, from, other, to), renamed(from, to));
}
