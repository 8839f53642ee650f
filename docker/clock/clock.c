/* clock.so: preloaded into a node's program, it makes the wall clock that the program reads another one.
 *
 * $HARNESS_CLOCK names a page that the supervisor and all processes of the node share (struct page): the offset, which is
 * added to what the kernel says and may change at any time, and what was told by it, which is how the supervisor sees that
 * the program has read it. CLOCK_MONOTONIC and its relatives stay as they are: time passes as it does elsewhere, and the
 * node's journals, whose stamps are of that clock, stay true. What waits until a time of the wall clock waits until the
 * offset one. Whoever asks the kernel without the C library (a static program, Go's runtime) is not reached.
 *
 * Debian's libfaketime 0.9.10 is not used: told to leave CLOCK_MONOTONIC alone it has Python's time.sleep fail (EINVAL),
 * it is late by as much as it caches, shows nothing, and leaves files in /dev/shm when it is killed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000 };
#define YEAR_2001_S 1000000000 /* a time of CLOCK_MONOTONIC is far below, one of the wall clock above */

struct page {
    _Atomic int64_t offset_ns; /* written by the supervisor */
    _Atomic int64_t told_ns;   /* the offset of the latest answer */
    _Atomic int64_t told;      /* answers; set to zero with each offset */
    _Atomic int64_t loaded;    /* processes that have read this page */
};

static struct page nothing, *page = &nothing;
static int (*kernel_gettime)(clockid_t, struct timespec *);

#define NEXT(name, version) \
    static __typeof__(&name) next; \
    if (!next) { \
        void *found = dlvsym(RTLD_NEXT, #name, version); \
        next = (__typeof__(&name))(found ? found : dlsym(RTLD_NEXT, #name)); \
    }

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("HARNESS_CLOCK");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *found = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (found != MAP_FAILED) {
        page = found;
        page->loaded++;
    }
}

static void add(struct timespec *at, int64_t offset_ns) {
    int64_t seconds = offset_ns / SECOND_NS, rest = at->tv_nsec + offset_ns % SECOND_NS;
    if (rest < 0)
        seconds--, rest += SECOND_NS;
    else if (rest >= SECOND_NS)
        seconds++, rest -= SECOND_NS;
    at->tv_sec += seconds;
    at->tv_nsec = rest;
}

static int is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!kernel_gettime)
        kernel_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = kernel_gettime(clock, at);
    if (result == 0 && is_wall(clock)) {
        int64_t offset_ns = page->offset_ns;
        add(at, offset_ns);
        page->told_ns = offset_ns;
        page->told++;
    }
    return result;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    if (zone)
        *(struct timezone *)zone = (struct timezone){0, 0};
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, at) == 0 ? base : 0;
}

/* The kernel's time of one that the program reckoned by the wall clock that it was told. */
static const struct timespec *kernels(const struct timespec *at, struct timespec *room) {
    if (!at || at->tv_sec < YEAR_2001_S)
        return at;
    *room = *at;
    add(room, -page->offset_ns);
    return room;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *at, struct timespec *left) {
    struct timespec room;
    NEXT(clock_nanosleep, "GLIBC_2.17")
    return next(clock, flags, clock == CLOCK_REALTIME && (flags & TIMER_ABSTIME) ? kernels(at, &room) : at, left);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *at) {
    struct timespec room;
    NEXT(pthread_cond_timedwait, "GLIBC_2.3.2")
    return next(condition, mutex, kernels(at, &room));
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *at) {
    struct timespec room;
    NEXT(pthread_mutex_timedlock, "GLIBC_2.2.5")
    return next(mutex, kernels(at, &room));
}

int sem_timedwait(sem_t *semaphore, const struct timespec *at) {
    struct timespec room;
    NEXT(sem_timedwait, "GLIBC_2.2.5")
    return next(semaphore, kernels(at, &room));
}
