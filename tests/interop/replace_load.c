/* Constant load for replace_test.ts, from libmunge: threads that encode, decode, and decode again, which must be refused,
 * until standard input ends; then one line: REQUESTS FAILED REPLAYED first-failure. FAILED counts what an honest
 * client would notice; REPLAYED the credentials that were accepted more than once.
 *
 *   replace_load SOCKET PAIRS-OF-THREADS [MICROSECONDS-BETWEEN-CREDENTIALS] */
#include <munge.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT 64

static const char *socket_path;
static atomic_bool is_over;
static atomic_ulong requests, failed, replayed;
static char first_failure[256];
static useconds_t rest;

/* Two threads that make a credential in turn and decode it at the same moment, so that one of them must be refused. */
struct pair {
    pthread_barrier_t barrier;
    char *credential;
    int is_done;
    int results[2];
    char *kept[KEPT];
    unsigned count;
};

struct half {
    struct pair *pair;
    int index;
};

static void fail(const char *what, munge_err_t error, munge_ctx_t ctx)
{
    if (atomic_fetch_add(&failed, 1) != 0) return;
    const char *text = ctx != NULL ? munge_ctx_strerror(ctx) : NULL;
    snprintf(first_failure, sizeof first_failure, "%s: %s", what, text ? text : munge_strerror(error));
}

static munge_ctx_t make_context(void)
{
    munge_ctx_t ctx = munge_ctx_create();
    if (ctx == NULL || munge_ctx_set(ctx, MUNGE_OPT_SOCKET, socket_path) != EMUNGE_SUCCESS) exit(1);
    return ctx;
}

static munge_err_t decode(const char *credential, munge_ctx_t ctx)
{
    atomic_fetch_add(&requests, 1);
    return munge_decode(credential, ctx, NULL, NULL, NULL, NULL);
}

/* A credential that has been decoded must be refused from then on. */
static void expect_replay(const char *credential, munge_ctx_t ctx)
{
    munge_err_t error = decode(credential, ctx);
    if (error == EMUNGE_SUCCESS) atomic_fetch_add(&replayed, 1);
    else if (error != EMUNGE_CRED_REPLAYED) fail("decode again", error, ctx);
}

static void *run(void *argument)
{
    struct half *half = argument;
    struct pair *pair = half->pair;
    munge_ctx_t ctx = make_context();
    while (1) {
        if (half->index == 0) {
            pair->credential = NULL;
            usleep(rest);
            atomic_fetch_add(&requests, 1);
            munge_err_t error = munge_encode(&pair->credential, ctx, "load", 4);
            if (error != EMUNGE_SUCCESS) fail("encode", error, ctx);
            pair->is_done = atomic_load(&is_over);
        }
        pthread_barrier_wait(&pair->barrier);
        if (pair->is_done) break;
        if (pair->credential == NULL) {
            pthread_barrier_wait(&pair->barrier);
            continue;
        }
        pair->results[half->index] = decode(pair->credential, ctx);
        if (pair->results[half->index] != EMUNGE_SUCCESS &&
            pair->results[half->index] != EMUNGE_CRED_REPLAYED)
            fail("decode", pair->results[half->index], ctx);
        pthread_barrier_wait(&pair->barrier);
        if (half->index != 0) continue;
        int successes = (pair->results[0] == EMUNGE_SUCCESS) + (pair->results[1] == EMUNGE_SUCCESS);
        if (successes == 2) atomic_fetch_add(&replayed, 1);
        if (successes == 0) fail("decode", EMUNGE_CRED_REPLAYED, NULL);
        expect_replay(pair->credential, ctx);
        char **slot = &pair->kept[pair->count++ % KEPT];
        if (*slot != NULL) {
            expect_replay(*slot, ctx);
            free(*slot);
        }
        *slot = pair->credential;
        pair->credential = NULL;
    }
    if (half->index == 0) {
        free(pair->credential);
        for (int i = 0; i < KEPT; i++) {
            if (pair->kept[i] != NULL) expect_replay(pair->kept[i], ctx);
            free(pair->kept[i]);
        }
    }
    munge_ctx_destroy(ctx);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) return 2;
    if (argc == 4) rest = atoi(argv[3]);
    socket_path = argv[1];
    int count = atoi(argv[2]);
    struct pair *pairs = calloc(count, sizeof *pairs);
    struct half *halves = calloc(2 * count, sizeof *halves);
    pthread_t *threads = calloc(2 * count, sizeof *threads);
    for (int i = 0; i < 2 * count; i++) {
        struct pair *pair = &pairs[i / 2];
        if (i % 2 == 0) pthread_barrier_init(&pair->barrier, NULL, 2);
        halves[i] = (struct half) { pair, i % 2 };
    }
    for (int i = 0; i < 2 * count; i++) pthread_create(&threads[i], NULL, run, &halves[i]);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) { }
    atomic_store(&is_over, 1);
    for (int i = 0; i < 2 * count; i++) pthread_join(threads[i], NULL);
    printf("%lu %lu %lu %s\n", requests, failed, replayed, first_failure);
    return 0;
}
