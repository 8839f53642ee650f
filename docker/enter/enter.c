/* enter SOCKET COMMAND [ARGUMENT...]: start COMMAND in the network namespace that the supervisor hands over.
 * enter SOCKET --hold: enter it and stay, so that a container that cannot enter by itself can join this one's network.
 *
 * The entrypoint of a node's container, mounted read-only, static: the image needs neither Python nor a shell.
 *
 *   connect to SOCKET (unix, SOCK_SEQPACKET)      the supervisor reads our host pid from SO_PEERCRED
 *   receive 2 descriptors                         the network namespace, the node's log
 *   setns, drop CAP_SYS_ADMIN from every set, log becomes stdout and stderr, execvp COMMAND
 *
 * The socket closes at the exec, which is how the supervisor sees that all went well. It fails closed: after any error
 * one sentence goes to stderr and to the socket, and the exit code is 125. COMMAND never runs in the host's network.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { REFUSED = 125, ANSWER_TIMEOUT_S = 60 };

static int supervisor = -1;

static void fail(const char *what, const char *why)
{
    char sentence[512];
    int length = snprintf(sentence, sizeof sentence, "enter: %s: %s", what, why);
    if (length >= (int)sizeof sentence)
        length = sizeof sentence - 1;
    fprintf(stderr, "%s\n", sentence);
    if (supervisor >= 0)
        (void)!send(supervisor, sentence, (size_t)length, MSG_NOSIGNAL);
    _exit(REFUSED);
}

static void fail_errno(const char *what) { fail(what, strerror(errno)); }

static void call_supervisor(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_S};
    if (strlen(path) >= sizeof address.sun_path)
        fail(path, "the path is longer than a unix socket's may be");
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        fail_errno("socket");
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
        fail_errno("SO_RCVTIMEO");
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        fail_errno("no supervisor answers on the socket");
    supervisor = descriptor;
}

/* received[0] the network namespace, received[1] the log */
static void receive_descriptors(int received[2])
{
    char byte, control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(supervisor, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        fail_errno("receive the namespace");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (got == 0 || (message.msg_flags & MSG_CTRUNC) || !header || header->cmsg_level != SOL_SOCKET ||
        header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(2 * sizeof(int)))
        fail("receive the namespace", "expected 2 descriptors (namespace, log), found something else");
    memcpy(received, CMSG_DATA(header), 2 * sizeof(int));
}

static void enter_namespace(int namespace)
{
    struct stat before, wanted, after;
    if (stat("/proc/self/ns/net", &before) < 0 || fstat(namespace, &wanted) < 0)
        fail_errno("look at the network namespaces");
    if (before.st_ino == wanted.st_ino && before.st_dev == wanted.st_dev)
        fail("setns", "the namespace handed over is the one the container started in");
    if (setns(namespace, CLONE_NEWNET) < 0)
        fail_errno("setns");
    if (stat("/proc/self/ns/net", &after) < 0)
        fail_errno("look at the network namespace");
    if (after.st_ino != wanted.st_ino || after.st_dev != wanted.st_dev)
        fail("setns", "it succeeded, and yet this is another namespace");
}

static void drop_sys_admin(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    const __u32 others = ~(__u32)CAP_TO_MASK(CAP_SYS_ADMIN);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_SYS_ADMIN, 0, 0) < 0)
        fail_errno("lower CAP_SYS_ADMIN in the ambient set");
    if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) < 0)
        fail_errno("drop CAP_SYS_ADMIN from the bounding set");
    if (syscall(SYS_capget, &header, sets) < 0)
        fail_errno("capget");
    sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= others;
    sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].permitted &= others;
    sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].inheritable &= others;
    if (syscall(SYS_capset, &header, sets) < 0)
        fail_errno("drop CAP_SYS_ADMIN");
}

int main(int count, char **arguments)
{
    int received[2];
    if (count < 3)
        fail("usage", "enter SOCKET COMMAND [ARGUMENT...]");
    call_supervisor(arguments[1]);
    receive_descriptors(received);
    enter_namespace(received[0]);
    drop_sys_admin();
    if (dup2(received[1], STDOUT_FILENO) < 0 || dup2(received[1], STDERR_FILENO) < 0)
        fail_errno("take the log");
    if (strcmp(arguments[2], "--hold") == 0) {
        close(supervisor);
        for (;;)
            pause();
    }
    execvp(arguments[2], arguments + 2);
    fail_errno(arguments[2]);
}
