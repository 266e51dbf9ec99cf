/* Sends requests as fast as auksd answers: N clients at a time, each with a new connection for every request, as
   auks does. The bytes are prepared beforehand, so that only the daemon is measured.
     auks_load PORT CLIENTS SECONDS FILE
   FILE: u32 number of conversations; each is four parts (versions, AP-REQ, request, CLOSE) of u32 length and bytes,
   little-endian. Prints: requests seconds p50_us p99_us errors */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PARTS = 4, STEPS = 3, BUFFER = 1 << 20, SAMPLES = 1 << 20 };

struct part { uint32_t length; const uint8_t *bytes; };
struct conversation { struct part parts[PARTS]; };
/* What must arrive after each part: a byte; two messages; one message. */
struct client {
    int fd;
    const struct conversation *talk;
    int step;
    uint32_t have;
    uint8_t *buffer;
    double begun;
};

static struct sockaddr_in server;
static int poller;
static struct conversation *talks;
static uint32_t talk_count, next_talk;
static long requests, errors;
static double *samples;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void put(struct client *c, int part) {
    const struct part *p = &c->talk->parts[part];
    if (send(c->fd, p->bytes, p->length, MSG_NOSIGNAL) != (ssize_t)p->length) errors++;
}

static void begin(struct client *c) {
    c->talk = &talks[next_talk++ % talk_count];
    c->step = 0;
    c->have = 0;
    c->begun = now();
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) fail("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) fail("connect");
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
    put(c, 0);
}

static uint32_t u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* Whether everything expected at this step has arrived. */
static int is_whole(const struct client *c) {
    if (c->step == 0) return c->have >= 1;
    uint32_t at = 0;
    for (int left = c->step == 1 ? 2 : 1; left > 0; left--) {
        if (c->have < at + 4) return 0;
        uint32_t length = u32(c->buffer + at);
        if (c->step == 1 && left == 2 && length != 0) {
            fprintf(stderr, "auksd refuses to authenticate\n");
            exit(1);
        }
        at += 4 + length;
    }
    return c->have >= at;
}

static void end(struct client *c, int ok) {
    close(c->fd);
    if (!ok) {
        errors++;
    } else {
        if (requests < SAMPLES) samples[requests] = now() - c->begun;
        requests++;
    }
    begin(c);
}

static void proceed(struct client *c) {
    ssize_t count = recv(c->fd, c->buffer + c->have, BUFFER - c->have, 0);
    if (count <= 0) {
        end(c, 0);
        return;
    }
    c->have += count;
    if (!is_whole(c)) return;
    c->have = 0;
    c->step++;
    put(c, c->step);
    if (c->step == STEPS) end(c, 1);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    FILE *file = fopen(argv[4], "rb");
    if (file == NULL || fread(&talk_count, 4, 1, file) != 1) fail(argv[4]);
    talks = calloc(talk_count, sizeof *talks);
    for (uint32_t i = 0; i < talk_count; i++) {
        for (int part = 0; part < PARTS; part++) {
            uint32_t length;
            if (fread(&length, 4, 1, file) != 1) fail("FILE");
            uint8_t *bytes = malloc(length);
            if (fread(bytes, 1, length, file) != length) fail("FILE");
            talks[i].parts[part] = (struct part){ length, bytes };
        }
    }
    samples = malloc(SAMPLES * sizeof *samples);
    poller = epoll_create1(0);
    struct client *clients = calloc(count, sizeof *clients);
    double start = now();
    for (int i = 0; i < count; i++) {
        clients[i].buffer = malloc(BUFFER);
        begin(&clients[i]);
    }
    while (now() - start < seconds) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, 100);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) proceed(events[i].data.ptr);
    }
    double took = now() - start;
    long kept = requests < SAMPLES ? requests : SAMPLES;
    qsort(samples, kept, sizeof *samples, compare);
    double p50 = kept == 0 ? 0 : samples[kept / 2], p99 = kept == 0 ? 0 : samples[kept * 99 / 100];
    printf("%ld %.3f %.0f %.0f %ld\n", requests, took, p50 * 1e6, p99 * 1e6, errors);
    return 0;
}
