// A name service module that never answers; name_service_test.ts builds it as libnss_slow.so.2.
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <unistd.h>

static enum nss_status hang(void) {
    for (;;) pause();
    return NSS_STATUS_UNAVAIL;
}

enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t size,
                                     int *error) {
    return hang();
}

enum nss_status _nss_slow_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size,
                                     int *error) {
    return hang();
}

enum nss_status _nss_slow_getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
                                     int *error) {
    return hang();
}

enum nss_status _nss_slow_getgrgid_r(gid_t gid, struct group *group, char *buffer, size_t size,
                                     int *error) {
    return hang();
}

enum nss_status _nss_slow_setgrent(int stay_open) {
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_slow_getgrent_r(struct group *group, char *buffer, size_t size, int *error) {
    return hang();
}

enum nss_status _nss_slow_endgrent(void) {
    return NSS_STATUS_SUCCESS;
}
