/* A slow network, for benchmarks on kernels without netem: relays connections to a port of this host, and delivers every
 * byte so many microseconds after it arrives.
 *     relay LISTENING-PORT TARGET-PORT MICROSECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WAYS = 64, CHUNKS = 1024, ROOM = 16384 };

struct chunk {
    long long due;
    int length;
    char bytes[ROOM];
};

/* One direction of a connection. */
struct way {
    int from, to;
    unsigned first, end;
    struct chunk *chunks;
};

static struct way ways[WAYS];
static int count;
static long long delay;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static struct sockaddr_in at(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void add(int from, int to)
{
    int one = 1;
    if (count == WAYS) exit(1);
    setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ways[count].from = from;
    ways[count].to = to;
    ways[count].chunks = calloc(CHUNKS, sizeof(struct chunk));
    count++;
}

static void take(struct way *way)
{
    struct chunk *chunk = &way->chunks[way->end % CHUNKS];
    if (way->end - way->first == CHUNKS) return;
    chunk->length = read(way->from, chunk->bytes, ROOM);
    chunk->due = now() + delay;
    if (chunk->length > 0) way->end++;
    else way->from = -1;
}

static void deliver(struct way *way)
{
    while (way->first != way->end && way->chunks[way->first % CHUNKS].due <= now()) {
        struct chunk *chunk = &way->chunks[way->first++ % CHUNKS];
        if (write(way->to, chunk->bytes, chunk->length) != chunk->length) way->from = -1;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) return 1;
    struct sockaddr_in here = at(argv[1]), there = at(argv[2]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    delay = atoll(argv[3]) * 1000;
    prctl(PR_SET_TIMERSLACK, 1);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0) fail("bind");
    if (listen(listener, 16) < 0) fail("listen");
    for (;;) {
        struct pollfd fds[WAYS + 1] = { { .fd = listener, .events = POLLIN } };
        long long due = -1;
        for (int i = 0; i < count; i++) {
            struct way *way = &ways[i];
            fds[i + 1] = (struct pollfd){ .fd = way->from, .events = POLLIN };
            if (way->first == way->end) continue;
            long long next = way->chunks[way->first % CHUNKS].due;
            if (due < 0 || next < due) due = next;
        }
        long long left = due < 0 ? 0 : due - now();
        if (left < 0) left = 0;
        struct timespec patience = { left / 1000000000, left % 1000000000 };
        int before = count;
        if (ppoll(fds, count + 1, due < 0 ? NULL : &patience, NULL) < 0) fail("ppoll");
        if (fds[0].revents != 0) {
            int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(server, (struct sockaddr *)&there, sizeof there) < 0) fail("connect");
            add(client, server);
            add(server, client);
        }
        for (int i = 0; i < before; i++) {
            if (fds[i + 1].revents != 0) take(&ways[i]);
            deliver(&ways[i]);
        }
    }
}
