/* Preloaded into a server: records what it does to the files of one directory, and what it sends and
 * receives on sockets.
 *
 * RECORD_DIR names the directory (an absolute path without symbolic links), RECORD_LOG the file to
 * which records are appended. Each call makes two records: one before it begins, one after it has
 * ended. So the order of the records is the order in time: what had ended when an fsync began is
 * covered by it, and a reply that begins after the end of an fsync was sent after it. Several
 * processes may append to one log.
 *
 * RECORD_KILL names a file that the test may create: then the process is killed at the next fsync of a
 * write-ahead log, before it. The file is removed.
 *
 * Not recorded: memory maps (SQLite maps only its -shm file, which it makes anew after a crash). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))
#define MOST_OF_A_MESSAGE 65536 /* bytes of a message on a socket that are recorded */

/* Must match `_HEADER` in recording.py. */
struct record {
    char phase; /* B: the call begins, E: it has ended */
    char kind;  /* see `Kind` in recording.py */
    uint16_t path_size;
    uint32_t data_size;
    uint32_t thread;
    int32_t fd;
    uint64_t inode;
    int64_t offset; /* or the new size of the file */
    int64_t result; /* of the call, once it has ended */
} __attribute__((packed));

struct call {
    struct record record;
    char path[PATH_MAX];
};

static int log_fd = -1;
static char directory[PATH_MAX];
static size_t directory_length;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
    const char *log = getenv("RECORD_LOG"), *dir = getenv("RECORD_DIR");
    if (log == NULL || dir == NULL) {
        return;
    }
    directory_length = (size_t)snprintf(directory, sizeof directory, "%s", dir);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 200); /* away from the numbers that the server expects */
    close(fd);
}

static void append(struct call *call, const void *data, size_t size) {
    if (log_fd < 0) {
        return;
    }
    call->record.data_size = (uint32_t)size;
    struct iovec parts[3] = {
        {&call->record, sizeof call->record},
        {call->path, call->record.path_size},
        {(void *)data, size},
    };
    size_t length = sizeof call->record + call->record.path_size + size;
    if (syscall(SYS_writev, log_fd, parts, 3) != (long)length) {
        abort(); /* a recording with a gap would be believed */
    }
}

static void begin(struct call *call, char kind, const void *data, size_t size) {
    call->record.phase = 'B';
    call->record.kind = kind;
    call->record.thread = (uint32_t)syscall(SYS_gettid);
    append(call, data, size);
}

/* Returns the result. Does nothing else if the call was not begun. */
static int64_t end(struct call *call, int64_t result, const void *data, size_t size) {
    int error = errno;
    if (call->record.phase == 'B') {
        call->record.phase = 'E';
        call->record.path_size = 0;
        call->record.result = result;
        append(call, data, size);
    }
    errno = error;
    return result;
}

static int is_within(const char *path) {
    return log_fd >= 0 && strncmp(path, directory, directory_length) == 0 &&
           (path[directory_length] == '/' || path[directory_length] == 0);
}

static void describe(struct call *call, int fd, const char *path) {
    memset(&call->record, 0, sizeof call->record);
    call->record.fd = fd;
    size_t length = strlen(path);
    memmove(call->path, path, length + 1);
    call->record.path_size = (uint16_t)length;
}

/* Whether fd is a file of the directory; then describes it. In any case, `call` can be ended. */
static int is_file(struct call *call, int fd) {
    char link[64], path[PATH_MAX];
    struct stat found;
    int error = errno;
    call->record.phase = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = log_fd < 0 ? 0 : readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    int is_ours = is_within(path) && fstat(fd, &found) == 0;
    errno = error;
    if (is_ours) {
        describe(call, fd, path);
        call->record.inode = found.st_ino;
    }
    return is_ours;
}

static int is_socket(struct call *call, int fd) {
    struct stat found;
    int error = errno;
    call->record.phase = 0;
    int is_ours = log_fd >= 0 && fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode);
    errno = error;
    if (is_ours) {
        describe(call, fd, "");
        call->record.inode = found.st_ino;
    }
    return is_ours;
}

static int64_t size_of(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? found.st_size : 0;
}

static size_t at_most(size_t size) { return size < MOST_OF_A_MESSAGE ? size : MOST_OF_A_MESSAGE; }

/* Files */

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    struct call call;
    if (is_file(&call, fd)) {
        call.record.offset = offset;
        begin(&call, 'w', data, size);
    }
    return end(&call, REAL(pwrite64)(fd, data, size, offset), NULL, 0);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return pwrite64(fd, data, size, offset);
}

EXPORT ssize_t write(int fd, const void *data, size_t size) {
    struct call call;
    if (is_file(&call, fd)) {
        int is_at_end = fcntl(fd, F_GETFL) & O_APPEND;
        call.record.offset = is_at_end ? size_of(fd) : lseek64(fd, 0, SEEK_CUR);
        begin(&call, 'w', data, size);
    } else if (is_socket(&call, fd)) {
        begin(&call, '>', data, at_most(size));
    }
    return end(&call, REAL(write)(fd, data, size), NULL, 0);
}

EXPORT int ftruncate64(int fd, off64_t size) {
    struct call call;
    if (is_file(&call, fd)) {
        call.record.offset = size;
        begin(&call, 't', NULL, 0);
    }
    return (int)end(&call, REAL(ftruncate64)(fd, size), NULL, 0);
}

EXPORT int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* Returns the error, and does not set errno. */
EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    struct call call;
    if (is_file(&call, fd)) {
        call.record.offset = offset + size;
        begin(&call, 'a', NULL, 0);
    }
    int error = REAL(posix_fallocate64)(fd, offset, size);
    end(&call, error == 0 ? 0 : -1, NULL, 0);
    return error;
}

EXPORT int posix_fallocate(int fd, off_t offset, off_t size) {
    return posix_fallocate64(fd, offset, size);
}

static void end_here(const struct call *call) {
    const char *flag = getenv("RECORD_KILL");
    size_t size = call->record.path_size;
    if (flag != NULL && size > 4 && memcmp(call->path + size - 4, "-wal", 4) == 0 &&
        REAL(unlink)(flag) == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int synced(int fd, int (*sync)(int)) {
    struct call call;
    if (is_file(&call, fd)) {
        end_here(&call);
        begin(&call, 's', NULL, 0);
    }
    return (int)end(&call, sync(fd), NULL, 0);
}

EXPORT int fsync(int fd) { return synced(fd, REAL(fsync)); }

EXPORT int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

/* Entries of the directory */

static int opened(int at, const char *path, int flags, mode_t mode) {
    struct call call;
    struct stat found;
    call.record.phase = 0;
    if ((flags & (O_CREAT | O_TRUNC)) && is_within(path)) {
        describe(&call, -1, path);
        begin(&call, stat(path, &found) == 0 ? 'O' : 'o', NULL, 0);
    }
    int fd = REAL(openat64)(at, path, flags, mode);
    if (call.record.phase == 'B') {
        call.record.fd = fd;
        call.record.inode = fd >= 0 && fstat(fd, &found) == 0 ? found.st_ino : 0;
        call.record.offset = flags & O_TRUNC ? 0 : -1;
    }
    return (int)end(&call, fd, NULL, 0);
}

#define OPEN(signature, at)                                                                        \
    EXPORT int signature {                                                                         \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(more, int) : 0;               \
        va_end(more);                                                                              \
        return opened(at, path, flags, mode);                                                      \
    }
OPEN(open(const char *path, int flags, ...), AT_FDCWD)
OPEN(open64(const char *path, int flags, ...), AT_FDCWD)
OPEN(openat(int at, const char *path, int flags, ...), at)
OPEN(openat64(int at, const char *path, int flags, ...), at)

EXPORT int rename(const char *old, const char *new) {
    struct call call;
    call.record.phase = 0;
    if (is_within(old) && is_within(new)) {
        describe(&call, -1, old);
        begin(&call, 'r', new, strlen(new));
    }
    return (int)end(&call, REAL(rename)(old, new), NULL, 0);
}

EXPORT int unlink(const char *path) {
    struct call call;
    call.record.phase = 0;
    if (is_within(path)) {
        describe(&call, -1, path);
        begin(&call, 'u', NULL, 0);
    }
    return (int)end(&call, REAL(unlink)(path), NULL, 0);
}

/* Sockets */

EXPORT ssize_t send(int fd, const void *data, size_t size, int flags) {
    struct call call;
    if (is_socket(&call, fd)) {
        begin(&call, '>', data, at_most(size));
    }
    return end(&call, REAL(send)(fd, data, size, flags), NULL, 0);
}

/* Records the first bytes of a message in several parts. Writes of parts to a file are not recorded:
 * the test compares the recorded files with the real ones, and so would notice. */
static void begin_parts(struct call *call, int fd, const struct iovec *parts, size_t count) {
    char *data = malloc(MOST_OF_A_MESSAGE);
    if (data == NULL) {
        abort();
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t step = at_most(size + parts[i].iov_len) - size;
        memcpy(data + size, parts[i].iov_base, step);
        size += step;
    }
    if (is_socket(call, fd)) {
        begin(call, '>', data, size);
    }
    free(data);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct call call;
    begin_parts(&call, fd, parts, (size_t)count);
    return end(&call, REAL(writev)(fd, parts, count), NULL, 0);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct call call;
    begin_parts(&call, fd, message->msg_iov, message->msg_iovlen);
    return end(&call, REAL(sendmsg)(fd, message, flags), NULL, 0);
}

static ssize_t received(struct call *call, ssize_t result, const void *data) {
    return end(call, result, data, result > 0 ? at_most((size_t)result) : 0);
}

EXPORT ssize_t recv(int fd, void *data, size_t size, int flags) {
    struct call call;
    if (is_socket(&call, fd)) {
        begin(&call, '<', NULL, 0);
    }
    return received(&call, REAL(recv)(fd, data, size, flags), data);
}

EXPORT ssize_t read(int fd, void *data, size_t size) {
    struct call call;
    if (is_socket(&call, fd)) {
        begin(&call, '<', NULL, 0);
    }
    return received(&call, REAL(read)(fd, data, size), data);
}
