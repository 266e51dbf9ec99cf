// A name service module with one group whose member list is NULL; name_service_test.ts builds it as
// libnss_null.so.2.
#include <grp.h>
#include <nss.h>
#include <stddef.h>

static int is_over;

enum nss_status _nss_null_setgrent(int stay_open) {
    is_over = 0;
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_null_getgrent_r(struct group *group, char *buffer, size_t size, int *error) {
    if (is_over++) return NSS_STATUS_NOTFOUND;
    *group = (struct group){.gr_name = "null", .gr_passwd = "x", .gr_gid = 4000, .gr_mem = NULL};
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_null_endgrent(void) {
    return NSS_STATUS_SUCCESS;
}
