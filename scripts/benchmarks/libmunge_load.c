/* Encodes through libmunge from a number of threads and prints the rate per second; scripts/benchmarks/library.ts
 * compares the TypeScript library with it.
 *   libmunge_load SOCKET THREADS SECONDS */
#include <munge.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *socket_path;
static double deadline;
static atomic_long made;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void *encode(void *unused)
{
    munge_ctx_t context = munge_ctx_create();
    (void) unused;
    munge_ctx_set(context, MUNGE_OPT_SOCKET, socket_path);
    while (now() < deadline) {
        char *credential;
        if (munge_encode(&credential, context, NULL, 0) != EMUNGE_SUCCESS) {
            fprintf(stderr, "%s\n", munge_ctx_strerror(context));
            exit(1);
        }
        free(credential);
        made++;
    }
    munge_ctx_destroy(context);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    socket_path = argv[1];
    int threads = atoi(argv[2]);
    pthread_t *running = calloc(threads, sizeof *running);
    double start = now();
    deadline = start + atof(argv[3]);
    for (int i = 0; i < threads; i++)
        pthread_create(&running[i], NULL, encode, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
    printf("%.0f\n", made / (now() - start));
    return 0;
}
