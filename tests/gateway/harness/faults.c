/* A disk that fails when it is told to, preloaded into the gate.
 *
 * FAULTS names a file of words: `write ENOSPC`, `write EIO`, `sync EIO`, `sync SLOW` (a second), in any number.
 * They hold for files below a directory named `audit`, as long as the file says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int told(const char *what) {
    char words[256] = {0};
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t count = pread(fd, words, sizeof words - 1, 0);
    close(fd);
    return count > 0 && strstr(words, what) != NULL;
}

static int concerns(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/audit/") != NULL;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (concerns(fd)) {
        if (told("write ENOSPC")) return errno = ENOSPC, -1;
        if (told("write EIO")) return errno = EIO, -1;
    }
    return real(fd, bytes, count);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (concerns(fd)) {
        if (told("sync SLOW")) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        if (told("sync EIO")) return errno = EIO, -1;
    }
    return real(fd);
}
