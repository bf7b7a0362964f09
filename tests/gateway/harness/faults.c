/* A disk that fails when it is told to, preloaded into the gate.
 *
 * FAULTS names a file of words: `write ENOSPC`, `write EIO`, `sync EIO`, `sync SLOW` (a second), in any number, and last perhaps
 * `KILL before TEXT` or `KILL after TEXT`: the process is killed where it writes bytes that hold the text.
 * They hold for files below a directory named `audit`, as long as the file says so.
 * `clock SECONDS`, read when the gate starts, has its wall clock go so much behind. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct words { char text[256]; };

static struct words read_words(void) {
    struct words words = {{0}};
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return words;
    if (pread(fd, words.text, sizeof words.text - 1, 0) < 0) words.text[0] = 0;
    close(fd);
    return words;
}

static int told(const char *what) {
    struct words words = read_words();
    return strstr(words.text, what) != NULL;
}

static void kill_if(const char *when, const void *bytes, size_t count) {
    struct words words = read_words();
    const char *found = strstr(words.text, when);
    if (!found) return;
    const char *text = found + strlen(when);
    if (memmem(bytes, count, text, strlen(text))) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
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
        kill_if("KILL before ", bytes, count);
        ssize_t written = real(fd, bytes, count);
        if (written == (ssize_t)count) kill_if("KILL after ", bytes, count);
        return written;
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

int clock_gettime(clockid_t clock, struct timespec *now) {
    static long behind = -1;
    if (behind < 0) {
        char words[256] = {0}, *at;
        const char *path = getenv("FAULTS");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0) {
            if (pread(fd, words, sizeof words - 1, 0) < 0) words[0] = 0;
            close(fd);
        }
        at = strstr(words, "clock ");
        behind = at ? atol(at + strlen("clock ")) : 0;
    }
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec -= behind;
    return failed;
}
