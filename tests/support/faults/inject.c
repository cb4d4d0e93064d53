/* Preloaded into a server: makes calls on its files fail, by rules in a file that a test also maps.
 *
 * The file is named by INJECT_CONTROL and has the layout of `struct control`, which injection.py
 * writes and reads. While `tracks` is set, the library keeps what the disk has: the content that
 * each page had at the last fsync, as far as it differs from the page cache. Linux marks pages as
 * clean after a failed fsync, so a later fsync does not write them. And it reports the failure once
 * to each open file.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum call { WRITE, SYNC, TRUNCATE, OPEN, READ };
enum effect {
    FAIL,       /* the call does nothing and returns the error `value` */
    SHORTEN,    /* a write takes `value` bytes */
    DELAY,      /* the call waits for `value` ms */
    LOSE,       /* a sync fails, and the unsynced pages have their old content at once */
    LOSE_LATER, /* a sync fails, and the unsynced pages have their old content after a power cut */
    LIE,        /* a sync does nothing and returns success */
};

#define RULES 16
#define FILES 8
#define PAGES 32768
#define PAGE 4096
#define DESCRIPTORS 4096

struct rule {
    char suffix[64]; /* of the path */
    uint32_t call, effect, value;
    uint32_t after; /* number of calls that succeed first */
    uint32_t times; /* number of calls that the rule changes then */
    uint32_t is_on, seen, hits;
};

struct file {
    uint64_t device, inode;
    int64_t size; /* at the last fsync */
    uint32_t failures, unused;
    char path[512];
};

struct page {
    uint32_t file, is_lost; /* a lost page is not written by the next fsync */
    int64_t number;
};

struct control {
    struct rule rules[RULES];
    uint32_t tracks, files, pages, is_overfull;
    struct file file[FILES];
    struct page page[PAGES];
    char old[PAGES][PAGE];
};

static struct control *control;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t reported[DESCRIPTORS]; /* failures of the file that this descriptor has returned */
static int (*real_open)(const char *, int, ...);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);

/* Another library may call before the constructor of this one runs. */
static void prepare(void) {
    if (real_pread != NULL) {
        return;
    }
    real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
    real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    real_pread = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
}

__attribute__((constructor)) static void map_control(void) {
    prepare();
    const char *name = getenv("INJECT_CONTROL");
    int fd = name == NULL ? -1 : real_open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    control = mapped == MAP_FAILED ? NULL : mapped;
}

static int ends_with(const char *path, const char *suffix) {
    size_t length = strlen(path), wanted = strlen(suffix);
    return length >= wanted && memcmp(path + length - wanted, suffix, wanted) == 0;
}

static int is_active(void) {
    if (control == NULL) {
        return 0;
    }
    for (int i = 0; i < RULES; i++) {
        if (__atomic_load_n(&control->rules[i].is_on, __ATOMIC_ACQUIRE)) {
            return 1;
        }
    }
    return control->tracks != 0;
}

static const char *path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* Return the rule for a call, after its delay; NULL if the call has to be made. */
static struct rule *find_rule(const char *path, enum call call) {
    struct rule *found = NULL;
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &control->rules[i];
        if (!__atomic_load_n(&rule->is_on, __ATOMIC_ACQUIRE) || rule->call != call ||
            !ends_with(path, rule->suffix)) {
            continue;
        }
        uint32_t seen = __atomic_fetch_add(&rule->seen, 1, __ATOMIC_RELAXED);
        if (found == NULL && seen >= rule->after && seen - rule->after < rule->times) {
            found = rule;
        }
    }
    if (found == NULL) {
        return NULL;
    }
    __atomic_fetch_add(&found->hits, 1, __ATOMIC_RELAXED);
    if (found->effect == DELAY) {
        struct timespec left = {found->value / 1000, found->value % 1000 * 1000000L};
        while (nanosleep(&left, &left) != 0 && errno == EINTR) {
        }
        return NULL;
    }
    if (found->effect == FAIL) {
        errno = (int)found->value;
    }
    return found;
}

/* What the disk has. All of it is used with the mutex. */

static struct file *tracked(int fd, const char *path) {
    struct stat now;
    if (!control->tracks || !(ends_with(path, "-wal") || ends_with(path, ".db")) ||
        fstat(fd, &now) != 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < control->files; i++) {
        if (control->file[i].inode == now.st_ino && control->file[i].device == now.st_dev) {
            return &control->file[i];
        }
    }
    if (control->files == FILES) {
        control->is_overfull = 1;
        return NULL;
    }
    struct file *file = &control->file[control->files];
    *file = (struct file){.device = now.st_dev, .inode = now.st_ino, .size = now.st_size};
    snprintf(file->path, sizeof file->path, "%s", path);
    control->files++;
    return file;
}

static void forget(uint32_t index) {
    uint32_t last = --control->pages;
    control->page[index] = control->page[last];
    memcpy(control->old[index], control->old[last], PAGE);
}

/* Keep the content of the pages that a write is about to change. */
static void keep(struct file *file, int fd, size_t size, off_t offset) {
    uint32_t number_of_file = (uint32_t)(file - control->file);
    for (int64_t number = offset / PAGE; number * PAGE < offset + (int64_t)size; number++) {
        uint32_t i = 0;
        while (i < control->pages && (control->page[i].file != number_of_file ||
                                      control->page[i].number != number)) {
            i++;
        }
        if (i == control->pages) {
            if (i == PAGES) {
                control->is_overfull = 1;
                return;
            }
            memset(control->old[i], 0, PAGE);
            real_pread(fd, control->old[i], PAGE, number * PAGE);
            control->page[i] = (struct page){.file = number_of_file, .number = number};
            control->pages++;
        }
        control->page[i].is_lost = 0;
    }
}

static int belongs(uint32_t page, struct file *file) {
    return control->page[page].file == (uint32_t)(file - control->file) &&
           !control->page[page].is_lost;
}

static void note_synced(struct file *file, int fd) {
    struct stat now;
    for (uint32_t i = control->pages; i-- > 0;) {
        if (belongs(i, file)) {
            forget(i);
        }
    }
    if (fstat(fd, &now) == 0) {
        file->size = now.st_size;
    }
}

/* A new file may have the inode of one that was removed. */
static void note_new(struct file *file, int fd) {
    struct stat now;
    if (fstat(fd, &now) == 0 && now.st_size == 0) {
        note_synced(file, fd);
    }
}

static void lose(struct file *file, int fd, int at_once) {
    struct stat now;
    if (fstat(fd, &now) != 0) {
        return;
    }
    for (uint32_t i = control->pages; i-- > 0;) {
        if (!belongs(i, file)) {
            continue;
        }
        if (!at_once) {
            control->page[i].is_lost = 1;
            continue;
        }
        int64_t start = control->page[i].number * PAGE, left = now.st_size - start;
        if (left > 0) {
            real_pwrite(fd, control->old[i], left < PAGE ? (size_t)left : PAGE, start);
        }
        forget(i);
    }
}

static int sync_file(int fd, int (*real)(int)) {
    char buffer[4096];
    if (!is_active()) {
        return real(fd);
    }
    const char *path = path_of(fd, buffer, sizeof buffer);
    struct rule *rule = find_rule(path, SYNC);
    if (rule != NULL && rule->effect == FAIL) {
        return -1;
    }
    pthread_mutex_lock(&mutex);
    struct file *file = tracked(fd, path);
    int result = 0;
    if (rule == NULL) {
        result = real(fd);
        if (result == 0 && file != NULL) {
            note_synced(file, fd);
        }
    } else if (rule->effect != LIE && file != NULL) {
        lose(file, fd, rule->effect == LOSE);
        file->failures++;
    }
    if (file != NULL && fd < DESCRIPTORS && reported[fd] != file->failures) {
        reported[fd] = file->failures;
        errno = EIO;
        result = -1;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int fsync(int fd) {
    prepare();
    return sync_file(fd, real_fsync);
}

int fdatasync(int fd) {
    prepare();
    return sync_file(fd, real_fdatasync);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    char buffer[4096];
    prepare();
    if (!is_active()) {
        return real_pwrite(fd, data, size, offset);
    }
    const char *path = path_of(fd, buffer, sizeof buffer);
    struct rule *rule = find_rule(path, WRITE);
    if (rule != NULL && rule->effect == FAIL) {
        return -1;
    }
    if (rule != NULL && rule->effect == SHORTEN && size > rule->value) {
        size = rule->value;
    }
    pthread_mutex_lock(&mutex);
    struct file *file = tracked(fd, path);
    if (file != NULL) {
        keep(file, fd, size, offset);
    }
    ssize_t result = real_pwrite(fd, data, size, offset);
    pthread_mutex_unlock(&mutex);
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return pwrite(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
    char buffer[4096];
    prepare();
    if (is_active()) {
        struct rule *rule = find_rule(path_of(fd, buffer, sizeof buffer), WRITE);
        if (rule != NULL && rule->effect == FAIL) {
            return -1;
        }
        if (rule != NULL && rule->effect == SHORTEN && size > rule->value) {
            size = rule->value;
        }
    }
    return real_write(fd, data, size);
}

int ftruncate(int fd, off_t size) {
    char buffer[4096];
    prepare();
    if (!is_active()) {
        return real_ftruncate(fd, size);
    }
    const char *path = path_of(fd, buffer, sizeof buffer);
    if (find_rule(path, TRUNCATE) != NULL) {
        return -1;
    }
    pthread_mutex_lock(&mutex);
    struct file *file = tracked(fd, path);
    int result = real_ftruncate(fd, size);
    if (result == 0 && file != NULL && file->size > size) {
        file->size = size; /* the shorter file counts as synced */
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate64(int fd, off64_t size) {
    return ftruncate(fd, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) {
    char buffer[4096];
    prepare();
    if (is_active() && find_rule(path_of(fd, buffer, sizeof buffer), READ) != NULL) {
        return -1;
    }
    return real_pread(fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    return pread(fd, data, size, offset);
}

static int open_file(const char *path, int flags, mode_t mode) {
    char buffer[4096];
    prepare();
    if (!is_active()) {
        return real_open(path, flags, mode);
    }
    if (find_rule(path, OPEN) != NULL) {
        return -1;
    }
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS) {
        pthread_mutex_lock(&mutex);
        struct file *file = tracked(fd, path_of(fd, buffer, sizeof buffer));
        reported[fd] = file == NULL ? 0 : file->failures;
        if (file != NULL) {
            note_new(file, fd);
        }
        pthread_mutex_unlock(&mutex);
    }
    return fd;
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(path, flags | O_LARGEFILE, mode);
}
