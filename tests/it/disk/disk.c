/* A disk that fails or is slow when a test wants it. tests/it/disk.rs preloads this into the service.
 *
 *   DISK_FULL  a file that is read at each write: writes to files whose path contains its text fail with ENOSPC. Nothing
 *              fails while it is missing or empty.
 *   DISK_SLOW  a file that is read at each sync: how many milliseconds a sync takes longer. None while it is missing. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The function that this one stands before. */
#define REAL(name) ({ \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    real; \
})

/* Reads the text of the file that the variable names, without its last line end; empty if there is none. */
static void read_order(const char *variable, char *text, size_t size) {
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t bytes = fd >= 0 ? read(fd, text, size - 1) : 0;
    if (fd >= 0) close(fd);
    text[bytes > 0 ? bytes : 0] = 0;
    text[strcspn(text, "\n")] = 0;
}

static int is_full(int fd) {
    int error = errno;
    char part[256], link[64], path[4096];
    read_order("DISK_FULL", part, sizeof part);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = part[0] ? readlink(link, path, sizeof path - 1) : 0;
    path[bytes > 0 ? bytes : 0] = 0;
    errno = error;
    return part[0] && strstr(path, part);
}

static void be_slow(void) {
    int error = errno;
    char text[32];
    read_order("DISK_SLOW", text, sizeof text);
    long left = atol(text);
    struct timespec pause = {left / 1000, left % 1000 * 1000000};
    while (left && nanosleep(&pause, &pause) && errno == EINTR);
    errno = error;
}

#define WRITES(name, parameters, arguments) \
    ssize_t name parameters { \
        if (is_full(fd)) { errno = ENOSPC; return -1; } \
        return REAL(name) arguments; \
    }

WRITES(write, (int fd, const void *data, size_t bytes), (fd, data, bytes))
WRITES(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRITES(pwrite, (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at))
WRITES(pwrite64, (int fd, const void *data, size_t bytes, off64_t at), (fd, data, bytes, at))

#define SYNCS(name) \
    int name(int fd) { \
        be_slow(); \
        return REAL(name)(fd); \
    }

SYNCS(fsync)
SYNCS(fdatasync)
