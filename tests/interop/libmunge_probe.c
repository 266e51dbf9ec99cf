/* A libmunge client for the tests, written like any C program: reads one request per line and writes one answer per line,
 * so that a single process can request thousands of credentials.
 *
 *   encode CIPHER MAC ZIP TTL UID GID LENGTH    ->  ERRNO CREDENTIAL-or-error-text
 *   decode CREDENTIAL                           ->  ERRNO CIPHER MAC ZIP TTL UID GID UID-RESTRICTION
 *                                                   GID-RESTRICTION ADDRESS LENGTH PAYLOAD-OK error-text
 *
 * The payload is the same sequence for every credential, truncated to LENGTH; PAYLOAD-OK is 1 if it came back unchanged.
 * UIDs and GIDs are decimal; 4294967295 means anyone. */
#include <arpa/inet.h>
#include <munge.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *make_payload(size_t length)
{
    unsigned char *payload = malloc(length + 1);
    uint32_t state = 1;
    for (size_t i = 0; i < length; i++) {
        state = state * 1103515245u + 12345u;
        payload[i] = 'a' + ((state >> 16) & 7);
    }
    return payload;
}

static void set(munge_ctx_t ctx, munge_opt_t option, uint32_t value)
{
    if (munge_ctx_set(ctx, option, (int) value) != EMUNGE_SUCCESS) {
        fprintf(stderr, "munge_ctx_set: %s\n", munge_ctx_strerror(ctx));
        exit(1);
    }
}

static long get(munge_ctx_t ctx, munge_opt_t option)
{
    int value = -1;
    return munge_ctx_get(ctx, option, &value) == EMUNGE_SUCCESS ? (long) (uint32_t) value : -1L;
}

static const char *error_text(munge_ctx_t ctx, munge_err_t error)
{
    const char *text = munge_ctx_strerror(ctx);
    return error == EMUNGE_SUCCESS ? "" : text != NULL ? text : munge_strerror(error);
}

static void encode(munge_ctx_t ctx, const char *arguments)
{
    unsigned cipher, mac, zip, ttl, uid, gid, length;
    if (sscanf(arguments, "%u %u %u %u %u %u %u", &cipher, &mac, &zip, &ttl, &uid, &gid, &length) != 7)
        exit(1);
    set(ctx, MUNGE_OPT_CIPHER_TYPE, cipher);
    set(ctx, MUNGE_OPT_MAC_TYPE, mac);
    set(ctx, MUNGE_OPT_ZIP_TYPE, zip);
    set(ctx, MUNGE_OPT_TTL, ttl);
    set(ctx, MUNGE_OPT_UID_RESTRICTION, uid);
    set(ctx, MUNGE_OPT_GID_RESTRICTION, gid);
    unsigned char *payload = make_payload(length);
    char *credential = NULL;
    munge_err_t error = munge_encode(&credential, ctx, payload, (int) length);
    printf("%d %s\n", error, error == EMUNGE_SUCCESS ? credential : error_text(ctx, error));
    free(credential);
    free(payload);
}

static void decode(munge_ctx_t ctx, const char *credential)
{
    void *payload = NULL;
    int length = 0;
    uid_t uid = (uid_t) -1;
    gid_t gid = (gid_t) -1;
    munge_err_t error = munge_decode(credential, ctx, &payload, &length, &uid, &gid);
    char *text = strdup(error_text(ctx, error)); /* the next call with ctx forgets it */
    struct in_addr address = { 0 };
    munge_ctx_get(ctx, MUNGE_OPT_ADDR4, &address);
    unsigned char *expected = make_payload((size_t) length);
    int matches = length == 0 || (payload != NULL && memcmp(payload, expected, (size_t) length) == 0);
    printf("%d %ld %ld %ld %ld %u %u %ld %ld %s %d %d %s\n", error,
        get(ctx, MUNGE_OPT_CIPHER_TYPE), get(ctx, MUNGE_OPT_MAC_TYPE), get(ctx, MUNGE_OPT_ZIP_TYPE),
        get(ctx, MUNGE_OPT_TTL), (unsigned) uid, (unsigned) gid, get(ctx, MUNGE_OPT_UID_RESTRICTION),
        get(ctx, MUNGE_OPT_GID_RESTRICTION), inet_ntoa(address), length, matches, text);
    free(text);
    free(expected);
    free(payload);
}

int main(int argc, char *argv[])
{
    char *line = NULL;
    size_t room = 0;
    if (argc != 2) {
        fprintf(stderr, "Usage: %s SOCKET\n", argv[0]);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* each answer can be waited for */
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        munge_ctx_t ctx = munge_ctx_create();
        if (ctx == NULL || munge_ctx_set(ctx, MUNGE_OPT_SOCKET, argv[1]) != EMUNGE_SUCCESS)
            return 1;
        if (strncmp(line, "encode ", 7) == 0)
            encode(ctx, line + 7);
        else if (strncmp(line, "decode ", 7) == 0)
            decode(ctx, line + 7);
        else
            return 1;
        munge_ctx_destroy(ctx);
    }
    free(line);
    return 0;
}
