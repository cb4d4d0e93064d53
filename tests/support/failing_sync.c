/* Preloaded into a server: while the file named by FAILING_SYNC exists, fdatasync and fsync of a
 * write-ahead log fail with EIO. The data has been written, and stays in the page cache. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd) {
    char link[64], path[4096];
    const char *flag = getenv("FAILING_SYNC");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (flag == NULL || access(flag, F_OK) != 0 || length < 4) {
        return 0;
    }
    return memcmp(path + length - 4, "-wal", 4) == 0;
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}
