/* What the kernel alone allows: a server that does nothing but receive requests as long as an encode and send answers as
 * long as a credential, and one client that waits for each answer, either over one connection, where the kernel attaches
 * the sender's identity to each request, or over one connection each. Prints the rate per second, and microseconds of
 * the server's processor time for each request; scripts/benchmarks/library.ts compares munged with it.
 *   library_floor SOCKET kept|one-shot SECONDS */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 31, ANSWER = 161 };

static char bytes[65536];
static int is_kept;

static void require(int is_true, const char *what)
{
    if (is_true)
        return;
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void watch(int poller, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    require(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static int accept_client(int listener)
{
    struct ucred who;
    socklen_t length = sizeof who;
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    require(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0, "accept");
    if (is_kept)
        require(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0, "SO_PASSCRED");
    return fd;
}

static int receive(int fd)
{
    char control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec where = { bytes, sizeof bytes };
    struct msghdr message = { .msg_iov = &where, .msg_iovlen = 1 };
    message.msg_control = is_kept ? control : NULL;
    message.msg_controllen = is_kept ? sizeof control : 0;
    return recvmsg(fd, &message, 0);
}

/* Serves until a client closes its connection without a request. */
static void serve(int listener)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    watch(poller, listener);
    for (;;) {
        if (epoll_wait(poller, &event, 1, -1) < 1)
            continue;
        int fd = event.data.fd;
        if (fd == listener) {
            fd = accept_client(listener);
            if (is_kept) {
                watch(poller, fd);
                continue;
            }
        }
        int count = receive(fd);
        if (count == 0)
            exit(0);
        if (count > 0)
            require(send(fd, bytes, ANSWER, MSG_NOSIGNAL) == ANSWER, "send");
        if (!is_kept)
            close(fd);
    }
}

static int connect_to(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(fd, (const void *) address, sizeof *address) == 0, "connect");
    return fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (argc != 4 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    is_kept = strcmp(argv[2], "kept") == 0;
    unlink(argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(bind(listener, (void *) &address, sizeof address) == 0, "bind");
    require(listen(listener, 16) == 0, "listen");
    pid_t server = fork();
    require(server >= 0, "fork");
    if (server == 0)
        serve(listener);

    long made = 0;
    int fd = is_kept ? connect_to(&address) : -1;
    double start = now(), end = start + atof(argv[3]);
    for (; now() < end; made++) {
        if (!is_kept)
            fd = connect_to(&address);
        require(write(fd, bytes, REQUEST) == REQUEST, "write");
        require(read(fd, bytes, sizeof bytes) == ANSWER, "read");
        if (!is_kept)
            close(fd);
    }
    double seconds = now() - start;
    if (is_kept)
        close(fd);
    else
        fd = connect_to(&address), close(fd);
    struct rusage used;
    require(wait4(server, NULL, 0, &used) == server, "wait4");
    unlink(argv[1]);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec +
                 (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("%.0f %.1f\n", made / seconds, cpu * 1e6 / made);
    return 0;
}
