/* Stands between a server and the disk, loaded before the C library. It writes down, in order, everything that changes files
 * under FAULTS_ROOT, every sync of them, and what is sent on sockets; and it can end the process in the midst of a write.
 *
 * FAULTS_ROOT  the folder that is watched
 * FAULTS_LOG   where to write it down; none: nothing is written down
 * FAULTS_KILL  after so many bytes were written under FAULTS_ROOT, the write is torn there and the process is killed
 * FAULTS_ROOM  so many bytes may be written under FAULTS_ROOT, then the disk is full
 * FAULTS_FREED once this file is there, there is room again
 * FAULTS_READ  the disk can only be read
 *
 * A record: kind u8, zero u8[3], length of text u32, length of data u32, zero u32, then four numbers u64; text; data. The kinds
 * and what the numbers mean stand below and in write_log.rs. Numbers are those of the machine. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OPENED = 1,    /* folder, file, made, emptied; name */
    WRITTEN = 2,   /* file, offset; bytes */
    LENGTH = 3,    /* file, length */
    SYNCING = 4,   /* file, number of the sync */
    SYNCED = 5,    /* file, number of the sync */
    RENAMED = 6,   /* old folder, new folder, file; old name, zero, new name */
    REMOVED = 7,   /* folder; name */
    FOLDER = 8,    /* folder, new folder; name */
    SENT = 9,      /* descriptor; bytes */
    ACCEPTED = 10, /* descriptor */
    ROOT = 11,     /* folder */
    LINKED = 12,   /* file, folder; name */
};

static char root[4096];
static size_t root_length;
static int log_fd = -1;
static int64_t left = -1;
static int64_t room = -1;
static const char *freed = "";
static int read_only;
static uint64_t syncs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static ssize_t plain_write(int fd, const void *bytes, size_t count) {
    REAL(write);
    return real(fd, bytes, count);
}

static void note(uint8_t kind, const uint64_t *numbers, const char *text, size_t text_length, const void *data, size_t length) {
    if (log_fd < 0) return;
    size_t total = 48 + text_length + length;
    unsigned char *record = malloc(total), *at = record;
    if (!record) abort();
    uint32_t head[4] = {kind, (uint32_t)text_length, (uint32_t)length, 0};
    memcpy(at, head, 16);
    memcpy(at + 16, numbers, 32);
    memcpy(at + 48, text, text_length);
    memcpy(at + 48 + text_length, data, length);
    while (total > 0) {
        ssize_t done = plain_write(log_fd, at, total);
        if (done < 0) abort();
        at += done;
        total -= (size_t)done;
    }
    free(record);
}

#define NOTE(kind, text, data, length, ...) \
    note(kind, (uint64_t[4]){__VA_ARGS__}, text, strlen(text), data, length)

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("FAULTS_ROOT"), *log = getenv("FAULTS_LOG"), *kill_after = getenv("FAULTS_KILL");
    struct stat found;
    if (!folder || stat(folder, &found)) return;
    root_length = (size_t)snprintf(root, sizeof root, "%s/", folder);
    if (kill_after) left = atoll(kill_after);
    if (getenv("FAULTS_ROOM")) room = atoll(getenv("FAULTS_ROOM"));
    if (getenv("FAULTS_FREED")) freed = strdup(getenv("FAULTS_FREED"));
    read_only = !!getenv("FAULTS_READ");
    if (log) {
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0) abort();
        NOTE(ROOT, "", "", 0, found.st_ino);
    }
    /* What this process starts is none of ours. */
    unsetenv("LD_PRELOAD");
}

/* Whether the path of a descriptor lies under the root. */
static int ours(int fd) {
    char link[64], path[4096 + 64];
    if (!root_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return !strncmp(path, root, root_length - 1) && (path[root_length - 1] == '/' || !path[root_length - 1]);
}

static int path_is_ours(const char *path) { return root_length && !strncmp(path, root, root_length); }

static uint64_t file_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static uint64_t file_at(const char *path) {
    struct stat found;
    return stat(path, &found) ? 0 : found.st_ino;
}

static uint64_t folder_of(const char *path) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) return 0;
    *slash = 0;
    return file_at(folder);
}

static const char *name_of(const char *path) { return strrchr(path, '/') + 1; }

/* Opening. */
static int opened(int fd, const char *path, int flags, int was_there) {
    if (fd >= 0 && path_is_ours(path)) {
        struct stat found;
        if (!fstat(fd, &found) && S_ISREG(found.st_mode))
            NOTE(OPENED, name_of(path), "", 0, folder_of(path), found.st_ino, !was_there, !!(flags & O_TRUNC));
    }
    return fd;
}

#define OPEN_BODY(call) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    } \
    if (!path_is_ours(path)) return call; \
    if (read_only && (flags & (O_WRONLY | O_RDWR | O_CREAT))) { \
        errno = EROFS; \
        return -1; \
    } \
    pthread_mutex_lock(&lock); \
    int was_there = !access(path, F_OK), fd = opened(call, path, flags, was_there), failed = errno; \
    pthread_mutex_unlock(&lock); \
    errno = failed; \
    return fd

int open(const char *path, int flags, ...) { REAL(open); OPEN_BODY(real(path, flags, mode)); }
int open64(const char *path, int flags, ...) { REAL(open64); OPEN_BODY(real(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); OPEN_BODY(real(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); OPEN_BODY(real(at, path, flags, mode)); }

/* Writing. A write that the kill falls into is torn there. */
static ssize_t put(int fd, const void *bytes, size_t count, off_t offset, int at_cursor) {
    REAL(pwrite64);
    pthread_mutex_lock(&lock);
    if (at_cursor) offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    int last = left >= 0 && (int64_t)count > left;
    if (last) count = (size_t)left;
    int limited = room >= 0 && access(freed, F_OK);
    if (limited && !room) {
        pthread_mutex_unlock(&lock);
        errno = ENOSPC;
        return -1;
    }
    if (limited && (int64_t)count > room) count = (size_t)room;
    ssize_t done = count ? (at_cursor ? plain_write(fd, bytes, count) : real(fd, bytes, count, offset)) : 0;
    int failed = errno;
    if (done > 0) {
        NOTE(WRITTEN, "", bytes, (size_t)done, file_of(fd), (uint64_t)offset);
        if (left >= 0) left -= done;
        if (limited) room -= done;
    }
    if (last) {
        kill(getpid(), SIGKILL);
        pause();
    }
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

static void sent(int fd, const void *bytes, size_t count) {
    if (log_fd < 0) return;
    pthread_mutex_lock(&lock);
    NOTE(SENT, "", bytes, count, (uint64_t)fd);
    pthread_mutex_unlock(&lock);
}

static int socket_fd(int fd) {
    struct stat found;
    return log_fd >= 0 && !fstat(fd, &found) && S_ISSOCK(found.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (fd == log_fd || !root_length) return plain_write(fd, bytes, count);
    if (ours(fd)) return put(fd, bytes, count, 0, 1);
    /* Written down before it is sent: the other side cannot know of it earlier. */
    if (socket_fd(fd)) sent(fd, bytes, count);
    return plain_write(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    REAL(pwrite64);
    return ours(fd) ? put(fd, bytes, count, offset, 0) : real(fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

static void *joined(const struct iovec *parts, int count, size_t *length) {
    *length = 0;
    for (int i = 0; i < count; i++) *length += parts[i].iov_len;
    unsigned char *bytes = malloc(*length + 1), *at = bytes;
    if (!bytes) abort();
    for (int i = 0; i < count; at += parts[i].iov_len, i++) memcpy(at, parts[i].iov_base, parts[i].iov_len);
    return bytes;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    int file = ours(fd), socket = !file && socket_fd(fd);
    if (!file && !socket) return real(fd, parts, count);
    size_t length;
    void *bytes = joined(parts, count, &length);
    ssize_t done;
    if (file) {
        done = put(fd, bytes, length, 0, 1);
    } else {
        pthread_mutex_lock(&lock);
        done = real(fd, parts, count);
        int failed = errno;
        /* What the system did not take is sent again. Noted after, but nothing else is noted in between. */
        if (done > 0) NOTE(SENT, "", bytes, (size_t)done, (uint64_t)fd);
        pthread_mutex_unlock(&lock);
        errno = failed;
    }
    free(bytes);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    REAL(pwritev);
    if (!ours(fd)) return real(fd, parts, count, offset);
    size_t length;
    void *bytes = joined(parts, count, &length);
    ssize_t done = put(fd, bytes, length, offset, 0);
    free(bytes);
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    REAL(send);
    if (log_fd < 0) return real(fd, bytes, count, flags);
    pthread_mutex_lock(&lock);
    ssize_t done = real(fd, bytes, count, flags);
    int failed = errno;
    if (done > 0) NOTE(SENT, "", bytes, (size_t)done, (uint64_t)fd);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int accept4(int fd, struct sockaddr *from, socklen_t *length, int flags) {
    REAL(accept4);
    int got = real(fd, from, length, flags);
    if (got >= 0 && log_fd >= 0) {
        pthread_mutex_lock(&lock);
        NOTE(ACCEPTED, "", "", 0, (uint64_t)got);
        pthread_mutex_unlock(&lock);
    }
    return got;
}

/* Lengths. */
int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    if (!ours(fd)) return real(fd, length);
    pthread_mutex_lock(&lock);
    int done = real(fd, length), failed = errno;
    if (!done) NOTE(LENGTH, "", "", 0, file_of(fd), (uint64_t)length);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    REAL(fallocate64);
    if (!ours(fd)) return real(fd, mode, offset, length);
    /* Nothing here uses another form; one that did would be overlooked. */
    if (mode) abort();
    pthread_mutex_lock(&lock);
    int done = real(fd, mode, offset, length), failed = errno;
    struct stat found;
    if (!done && !fstat(fd, &found)) NOTE(LENGTH, "", "", 0, found.st_ino, (uint64_t)found.st_size);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

/* Syncs: what was written before one began is on disk when it ends. */
#define SYNC_BODY \
    if (log_fd < 0 || !ours(fd)) return real(fd); \
    pthread_mutex_lock(&lock); \
    uint64_t number = ++syncs, file = file_of(fd); \
    NOTE(SYNCING, "", "", 0, file, number); \
    pthread_mutex_unlock(&lock); \
    int done = real(fd), failed = errno; \
    pthread_mutex_lock(&lock); \
    if (!done) NOTE(SYNCED, "", "", 0, file, number); \
    pthread_mutex_unlock(&lock); \
    errno = failed; \
    return done

int fsync(int fd) { REAL(fsync); SYNC_BODY; }
int fdatasync(int fd) { REAL(fdatasync); SYNC_BODY; }

/* Names. */
int rename(const char *old_path, const char *new_path) {
    REAL(rename);
    if (!path_is_ours(old_path) && !path_is_ours(new_path)) return real(old_path, new_path);
    pthread_mutex_lock(&lock);
    uint64_t file = file_at(old_path);
    int done = real(old_path, new_path), failed = errno;
    char names[8192];
    int length = snprintf(names, sizeof names, "%s%c%s", name_of(old_path), 0, name_of(new_path));
    if (!done) note(RENAMED, (uint64_t[4]){folder_of(old_path), folder_of(new_path), file}, names, (size_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

#define REMOVE_BODY(call) \
    if (!path_is_ours(path)) return call; \
    pthread_mutex_lock(&lock); \
    int done = call, failed = errno; \
    if (!done) NOTE(REMOVED, name_of(path), "", 0, folder_of(path)); \
    pthread_mutex_unlock(&lock); \
    errno = failed; \
    return done

int unlink(const char *path) { REAL(unlink); REMOVE_BODY(real(path)); }
int unlinkat(int at, const char *path, int flags) { REAL(unlinkat); REMOVE_BODY(real(at, path, flags)); }
int rmdir(const char *path) { REAL(rmdir); REMOVE_BODY(real(path)); }

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (!path_is_ours(path)) return real(path, mode);
    /* What is there already is told first, as the system does. */
    if (read_only) {
        errno = access(path, F_OK) ? EROFS : EEXIST;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int done = real(path, mode), failed = errno;
    if (!done) NOTE(FOLDER, name_of(path), "", 0, folder_of(path), file_at(path));
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int link(const char *old_path, const char *new_path) {
    REAL(link);
    if (!path_is_ours(new_path)) return real(old_path, new_path);
    pthread_mutex_lock(&lock);
    int done = real(old_path, new_path), failed = errno;
    if (!done) NOTE(LINKED, name_of(new_path), "", 0, file_at(new_path), folder_of(new_path));
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}
