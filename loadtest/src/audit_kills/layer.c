/* A file system layer that forgets what was not synced, preloaded into the gate.
 *
 * LAYER_FROM is the directory that the gate writes, LAYER_TO its image on the medium. fsync and fdatasync copy the
 * whole file there, atomically, and return. In directories named `audit` a new file's name is on the medium only once its
 * directory was synced; until then its bytes stand under a name that nobody looks for. A draft, `NAME.new`, has the name
 * that it was given once the directory was synced. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int copy(int from, const char *to) {
    char temporary[PATH_MAX + 8], buffer[65536];
    snprintf(temporary, sizeof temporary, "%s.tmp", to);
    int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return -1;
    off_t at = 0;
    ssize_t count;
    while ((count = pread(from, buffer, sizeof buffer, at)) > 0) {
        if (write(out, buffer, count) != count) count = -1;
        if (count < 0) break;
        at += count;
    }
    close(out);
    return count < 0 ? -1 : rename(temporary, to);
}

/* Drafts that have another name by now. */
static void name_drafts(const char *from, const char *to) {
    DIR *image = opendir(to);
    struct dirent *entry;
    while (image && (entry = readdir(image))) {
        size_t length = strlen(entry->d_name);
        if (length <= 4 || strcmp(entry->d_name + length - 4, ".new") != 0) continue;
        char draft[PATH_MAX * 2], named[PATH_MAX * 2], still[PATH_MAX * 2];
        snprintf(still, sizeof still, "%s/%s", from, entry->d_name);
        if (access(still, F_OK) == 0) continue;
        snprintf(draft, sizeof draft, "%s/%s", to, entry->d_name);
        snprintf(named, sizeof named, "%s/%.*s", to, (int)(length - 4), entry->d_name);
        rename(draft, named);
    }
    if (image) closedir(image);
}

/* The names in a directory are on the medium. */
static void name_all(const char *from, const char *to) {
    name_drafts(from, to);
    DIR *directory = opendir(from);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (entry->d_type != DT_REG) continue;
        char unnamed[PATH_MAX * 2 + 16], named[PATH_MAX * 2];
        snprintf(named, sizeof named, "%s/%s", to, entry->d_name);
        snprintf(unnamed, sizeof unnamed, "%s.unnamed", named);
        if (access(named, F_OK) == 0) continue;
        if (rename(unnamed, named) != 0) close(open(named, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    if (directory) closedir(directory);
}

static int bring(int fd) {
    const char *from = getenv("LAYER_FROM"), *to = getenv("LAYER_TO");
    char link[64], path[PATH_MAX], target[PATH_MAX * 2];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!from || !to || length < 0) return -1;
    path[length] = 0;
    if (strncmp(path, from, strlen(from)) != 0) return 0;
    snprintf(target, sizeof target - 16, "%s%s", to, path + strlen(from));
    struct stat about;
    if (fstat(fd, &about) != 0) return -1;
    if (S_ISDIR(about.st_mode)) {
        name_all(path, target);
        return 0;
    }
    if (strstr(path + strlen(from), "/audit/") && access(target, F_OK) != 0) strcat(target, ".unnamed");
    /* The gate's own descriptor may be for writing only. */
    int readable = open(path, O_RDONLY | O_CLOEXEC);
    int copied = readable < 0 ? -1 : copy(readable, target);
    if (readable >= 0) close(readable);
    return copied;
}

static int synced(int fd) {
    pthread_mutex_lock(&lock);
    int result = bring(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }
