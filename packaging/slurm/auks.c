/*
 * auks.so, the SPANK plugin for srun, sbatch, salloc and slurmstepd: its option, environment and messages, and the locks
 * that let the steps of a job on a node share one credential cache and one renewer. `mungebox auks-step` and `mungebox
 * auks`, which run as separate programs, do everything that involves Kerberos; no ticket ever enters Slurm.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slurm/spank.h>

SPANK_PLUGIN(auks, 1)

#ifndef MUNGEBOX
#define MUNGEBOX "/usr/bin/mungebox"
#endif
/* One file per job with its cache's name, and one for its renewer's lock; only root may look into the directory. */
#define RUN_DIRECTORY "/run/auks"
#define JOBS_DIRECTORY RUN_DIRECTORY "/jobs"

#define MODE_VARIABLE "SLURM_SPANK_AUKS"
#define CACHE_VARIABLE "KRB5CCNAME"
#define TEXT_LENGTH 2048

enum {
	/* auksd's own time limits end a request long before this. */
	PROGRAM_LIMIT_MS = 120000,
	/*
	 * The clean-up of a job runs as its user, who can hold it up. Slurm drains a node on which a job does not end
	 * within UnkillableStepTimeout, 60 s by default.
	 */
	CLEAN_UP_LIMIT_MS = 15000,
	/* Dozens of steps of a job can begin at once, but take turns. */
	LOCK_LIMIT_MS = 40000,
	RENEWER_LIMIT_MS = 5000,
	/* The status of auks-step for a user without a ticket. */
	NOTHING_TO_FORWARD = 2,
};

enum mode { UNSET, NO, YES, DONE };

static struct {
	char *conf;
	char *host_cache;
	char *ccache;
	char *program;
	uid_t minimum_uid;
	bool enabled, enforced, stack, sync, file, no_switch, per_step;
} settings = { .program = MUNGEBOX };

static enum mode chosen = UNSET;

/* What the plugin in slurmstepd keeps from the beginning to the end of a step. */
static struct {
	int job_file;
	char job_path[128], renewer_path[144];
	pid_t renewer;
	unsigned long long renewer_birth;
	uint32_t running_tasks;
	char failure[TEXT_LENGTH];
} step = { .job_file = -1 };

/* The outcome of a program. */
struct outcome {
	bool succeeded;
	int status;
	char out[TEXT_LENGTH];
	char err[TEXT_LENGTH];
};

static bool begins(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* Arguments and modes */

static int choose_mode(int value, const char *argument, int remote)
{
	(void)value;
	if (argument == NULL)
		return -1;
	if (begins(argument, "yes"))
		chosen = YES;
	else if (begins(argument, "no"))
		chosen = NO;
	else if (begins(argument, "done"))
		chosen = DONE;
	else {
		slurm_error("spank-auks: bad parameter %s", argument);
		return -1;
	}
	if (!remote && chosen == DONE)
		setenv(MODE_VARIABLE, "done", 0);
	/* "no" overrides the variable, even that of a surrounding allocation, and reaches the steps of the job. */
	if (!remote && chosen == NO)
		setenv(MODE_VARIABLE, "no", 1);
	return 0;
}

static struct spank_option auks_option = {
	.name = "auks",
	.arginfo = "[yes|no|done]",
	.usage = "kerberos credential forwarding using Auks",
	.has_arg = 2,
	.cb = choose_mode,
};

static int read_uid(const char *text, uid_t *uid)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX - 1)
		return -1;
	*uid = (uid_t)number;
	return 0;
}

static int read_argument(const char *argument)
{
	const struct {
		const char *name;
		char **value;
	} texts[] = {
		{ "conf=", &settings.conf },
		{ "hostcredcache=", &settings.host_cache },
		{ "ccache=", &settings.ccache },
		{ "program=", &settings.program },
	};
	const struct {
		const char *beginning;
		bool *flag;
		bool value;
	} flags[] = {
		{ "default=enabled", &settings.enabled, true },
		{ "default=disabled", &settings.enabled, false },
		{ "spankstackcred=yes", &settings.stack, true },
		{ "spankstackcred=no", &settings.stack, false },
		{ "sync=yes", &settings.sync, true },
		{ "sync=all", &settings.sync, true },
		{ "sync=no", &settings.sync, false },
		{ "enforced", &settings.enforced, true },
		{ "force_file_ccache", &settings.file, true },
		{ "no_cc_switch", &settings.no_switch, true },
		{ "per_step", &settings.per_step, true },
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!begins(argument, texts[i].name))
			continue;
		*texts[i].value = strdup(argument + strlen(texts[i].name));
		return *texts[i].value == NULL ? -1 : 0;
	}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (!begins(argument, flags[i].beginning))
			continue;
		*flags[i].flag = flags[i].value;
		return 0;
	}
	if (begins(argument, "minimum_uid="))
		return read_uid(argument + strlen("minimum_uid="), &settings.minimum_uid);
	return -1;
}

/* In order of precedence: minimum_uid, "no" on the command line, variable, command line, configuration. */
static enum mode mode_for(uid_t uid, const char *variable)
{
	if (uid < settings.minimum_uid) {
		slurm_verbose("spank-auks: user '%u' not allowed to do auks stuff by conf", uid);
		return NO;
	}
	if (chosen == NO)
		return NO;
	if (variable != NULL)
		return begins(variable, "yes") ? YES : begins(variable, "done") ? DONE : NO;
	if (chosen != UNSET)
		return chosen;
	return settings.enabled ? YES : NO;
}

/* Programs */

static void close_from(int first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
#endif
	struct rlimit limit;
	int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
	for (int fd = first; fd < last; fd++)
		close(fd);
}

/* In the child: keeps none of Slurm's signal settings and descriptors except standard input, output and error. */
static void leave_slurm(int in, int out, int err, int first_closed)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(126);
	close_from(first_closed);
}

/* The environment with our two variables, built before fork(), because nothing may be allocated afterwards. */
static char **program_environment(const char *cache)
{
	extern char **environ;
	static char conf[TEXT_LENGTH], ccname[TEXT_LENGTH];
	size_t count = 0;
	while (environ[count] != NULL)
		count++;
	char **copy = calloc(count + 3, sizeof *copy);
	if (copy == NULL)
		return NULL;
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (settings.conf != NULL && begins(environ[i], "AUKS_CONF="))
			continue;
		if (cache != NULL && begins(environ[i], CACHE_VARIABLE "="))
			continue;
		copy[kept++] = environ[i];
	}
	if (settings.conf != NULL) {
		snprintf(conf, sizeof conf, "AUKS_CONF=%s", settings.conf);
		copy[kept++] = conf;
	}
	if (cache != NULL) {
		snprintf(ccname, sizeof ccname, CACHE_VARIABLE "=%s", cache);
		copy[kept++] = ccname;
	}
	return copy;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Appends what can be read, as far as there is room. Returns false at the end of the file. */
static bool read_some(int fd, char *text)
{
	char buffer[512];
	ssize_t count = read(fd, buffer, sizeof buffer);
	if (count < 0)
		return errno == EINTR || errno == EAGAIN;
	size_t length = strlen(text), room = TEXT_LENGTH - 1 - length;
	size_t taken = (size_t)count < room ? (size_t)count : room;
	memcpy(text + length, buffer, taken);
	text[length + taken] = '\0';
	return count > 0;
}

/* Slurm's messages have one line each. */
static void make_one_line(char *text)
{
	size_t length = strlen(text);
	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ')
			*text = ' ';
}

/* Reads both outputs to the end. Returns false if that takes too long. */
static bool read_outputs(int out, int err, int limit_ms, struct outcome *outcome)
{
	struct pollfd ends[] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	char *texts[] = { outcome->out, outcome->err };
	int64_t deadline = now_ms() + limit_ms;
	while (ends[0].fd >= 0 || ends[1].fd >= 0) {
		int64_t left = deadline - now_ms();
		if (left <= 0)
			return false;
		if (poll(ends, 2, (int)left) < 0 && errno != EINTR)
			return false;
		for (int i = 0; i < 2; i++)
			if (ends[i].fd >= 0 && ends[i].revents != 0 && !read_some(ends[i].fd, texts[i]))
				ends[i].fd = -1;
	}
	return true;
}

/* How to run our executable. */
enum manner {
	/* As the user, under srun: it can be interrupted. */
	IN_SESSION,
	/* As root, in slurmstepd: it and all that it starts can be ended together. */
	OWN_SESSION,
	/* Clean-up ignores the SIGTERM that slurmd sends to all descendants of slurmstepd when a job ends. */
	OWN_SESSION_TO_THE_END,
};

/* Runs our executable and waits for it. */
static void run(const char *const words[], int in, const char *cache, enum manner manner, struct outcome *outcome)
{
	memset(outcome, 0, sizeof *outcome);
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	char **environment = program_environment(cache);
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = -1;
	if (environment != NULL && nothing >= 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0) {
		if (manner != IN_SESSION)
			setsid();
		leave_slurm(in < 0 ? nothing : in, out[1], err[1], STDERR_FILENO + 1);
		if (manner == OWN_SESSION_TO_THE_END)
			signal(SIGTERM, SIG_IGN);
		execve(settings.program, (char *const *)words, environment);
		dprintf(STDERR_FILENO, "unable to run %s : %s", settings.program, strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		snprintf(outcome->err, sizeof outcome->err, "unable to run %s : %s", settings.program, strerror(errno));
	free(environment);
	close(nothing);
	close(out[1]);
	close(err[1]);
	if (pid > 0) {
		int limit_ms = manner == OWN_SESSION_TO_THE_END ? CLEAN_UP_LIMIT_MS : PROGRAM_LIMIT_MS;
		if (!read_outputs(out[0], err[0], limit_ms, outcome)) {
			kill(manner == IN_SESSION ? pid : -pid, SIGKILL);
			snprintf(outcome->err, sizeof outcome->err, "%s took too long", settings.program);
		}
		int status;
		pid_t ended;
		while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
			continue;
		outcome->status = ended == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		outcome->succeeded = outcome->status == 0;
	}
	close(out[0]);
	close(err[0]);
	make_one_line(outcome->out);
	make_one_line(outcome->err);
	if (!outcome->succeeded && outcome->err[0] == '\0')
		snprintf(outcome->err, sizeof outcome->err, "%s ended with %d", settings.program, outcome->status);
}

/* srun, sbatch, salloc */

static int forward(void)
{
	enum mode mode = mode_for(geteuid(), getenv(MODE_VARIABLE));
	if (mode != YES) {
		if (mode == NO)
			slurm_verbose("spank-auks: mode disabled");
		return 0;
	}
	const char *words[] = { "mungebox", "auks-step", "add", settings.enforced ? "--enforced" : NULL, NULL };
	struct outcome added;
	run(words, -1, NULL, IN_SESSION, &added);
	if (added.succeeded) {
		setenv(MODE_VARIABLE, "done", 0);
		slurm_verbose("spank-auks: cred forwarding succeeded");
		return 0;
	}
	if (added.status != NOTHING_TO_FORWARD) {
		slurm_error("spank-auks: %s", added.err);
		return -1;
	}
	if (!settings.enforced) {
		slurm_verbose("spank-auks: mode disabled: %s", added.err);
		setenv(MODE_VARIABLE, "no", 1);
		return 0;
	}
	slurm_error("spank-auks: %s", added.err);
	setenv(MODE_VARIABLE, "done", 1);
	return -1;
}

/* slurmstepd */

/* The lock of the step that begins or ends. A step whose user holds it up must not make others unkillable: the wait is limited. */
static int lock_job_file(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	for (int64_t deadline = now_ms() + LOCK_LIMIT_MS; fcntl(fd, F_OFD_SETLK, &lock) < 0; usleep(5000)) {
		if (errno != EINTR && errno != EAGAIN && errno != EACCES)
			return -1;
		if (now_ms() >= deadline) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return 0;
}

/*
 * Opens the job's file and takes the lock that one step at a time holds while it begins or ends. All steps hold a
 * shared flock() while they live, from which the last one learns that it is the last.
 */
static int open_job_file(void)
{
	mkdir(RUN_DIRECTORY, 0755);
	mkdir(JOBS_DIRECTORY, 0700);
	for (;;) {
		int fd = open(step.job_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat file;
		if (fd < 0)
			return -1;
		if (lock_job_file(fd, F_WRLCK) == 0 && fstat(fd, &file) == 0) {
			if (file.st_nlink > 0 && flock(fd, LOCK_SH | LOCK_NB) == 0)
				return fd;
			if (file.st_nlink == 0) { /* the last step has just removed it */
				close(fd);
				continue;
			}
		}
		int reason = errno;
		close(fd);
		errno = reason;
		return -1;
	}
}

/* In the child. */
static bool become(uid_t uid, gid_t gid)
{
	uid_t uids[3];
	gid_t gids[3];
	if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return false;
	if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (uids[i] != uid || gids[i] != gid)
			return false;
	return uid == 0 || setuid(0) < 0;
}

/* When a process was started, in clock ticks (proc(5)), because its PID may have been reused; 0 if there is none. */
static unsigned long long birth_of(pid_t pid)
{
	char path[32], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[length < 0 ? 0 : length] = '\0';
	/* Field 22, counted from the end of field 2, which is a name in parentheses and may contain anything. */
	const char *at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static const int signals_for_jobs[] = { SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2 };

/*
 * Starts a process that waits until no other step of the job has a renewer on this node, and then becomes the renewer.
 * It runs permanently as the user, inherits nothing of Slurm's, and ends when slurmstepd does. All it inherits is a lock
 * that only renewers wait for, on a file that can't be written through it: its user may take it over with ptrace().
 */
static void start_renewer(uid_t uid, gid_t gid, const char *cache)
{
	const char *const words[] = { "mungebox", "auks", "-R", "loop", "-C", cache, NULL };
	char **environment = program_environment(cache);
	/* A low number, as leave_slurm() closes all higher ones; inherited, so that the lock is kept. */
	int lock = STDERR_FILENO + 1, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = open(step.renewer_path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	pid_t parent = getpid(), pid = -1;
	if (environment != NULL && nothing >= 0 && file >= 0)
		pid = fork();
	if (pid == 0) {
		setsid();
		if (nothing == lock)
			nothing = dup(nothing);
		if (file == lock ? fcntl(file, F_SETFD, 0) < 0 : dup2(file, lock) < 0)
			_exit(126);
		leave_slurm(nothing, nothing, nothing, lock + 1);
		/* With proctrack/linuxproc, signals of scancel and sbatch --signal reach all descendants of slurmstepd. */
		for (size_t i = 0; i < sizeof signals_for_jobs / sizeof *signals_for_jobs; i++)
			signal(signals_for_jobs[i], SIG_IGN);
		if (!become(uid, gid) || chdir("/") < 0)
			_exit(126);
		umask(077);
		/* After changing the user, which would undo it. */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
			_exit(126);
		while (flock(lock, LOCK_EX) < 0)
			if (errno != EINTR)
				_exit(126);
		execve(settings.program, (char *const *)words, environment);
		_exit(127);
	}
	if (pid > 0)
		slurm_verbose("spank-auks: credential renewer launched (pid=%d)", (int)pid);
	else
		slurm_error("spank-auks: unable to start the credential renewer : %s", strerror(errno));
	step.renewer = pid > 0 ? pid : 0;
	step.renewer_birth = pid > 0 ? birth_of(pid) : 0;
	free(environment);
	close(file);
	close(nothing);
}

/* Ends the renewer and everything it has started. */
static void stop_renewer(void)
{
	pid_t renewer = step.renewer;
	if (renewer <= 0)
		return;
	step.renewer = 0;
	/* It may have ended long ago, and slurmstepd, which waits for any child, may have reaped it and freed its PID. */
	if (birth_of(renewer) != step.renewer_birth)
		return;
	slurm_verbose("spank-auks: all tasks exited, killing credential renewer (pid=%d)", (int)renewer);
	kill(-renewer, SIGTERM);
	for (int64_t deadline = now_ms() + RENEWER_LIMIT_MS; now_ms() < deadline; usleep(10000)) {
		pid_t ended = waitpid(renewer, NULL, WNOHANG);
		if (ended == renewer || (ended < 0 && errno != EINTR))
			return;
	}
	/* Not waited for: a system call on a file system that hangs would keep the job from ending. */
	kill(-renewer, SIGKILL);
}

/* What auks-step needs to know about a step. */
struct step_words {
	char uid[32], gid[32], job[32], step[32];
};

static bool describe_step(spank_t spank, uid_t *uid, gid_t *gid, struct step_words *words)
{
	uint32_t job, number;
	if (spank_get_item(spank, S_JOB_UID, uid) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_GID, gid) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_STEPID, &number) != ESPANK_SUCCESS)
		return false;
	snprintf(words->uid, sizeof words->uid, "--uid=%u", *uid);
	snprintf(words->gid, sizeof words->gid, "--gid=%u", *gid);
	snprintf(words->job, sizeof words->job, "--job=%u", job);
	snprintf(words->step, sizeof words->step, "--step=%u", number);
	if (settings.per_step)
		snprintf(step.job_path, sizeof step.job_path, JOBS_DIRECTORY "/%u.%u", job, number);
	else
		snprintf(step.job_path, sizeof step.job_path, JOBS_DIRECTORY "/%u", job);
	snprintf(step.renewer_path, sizeof step.renewer_path, "%s.renewer", step.job_path);
	return true;
}

/* Keeps an error message until it can be shown to the user. */
static void fail_step(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(step.failure, sizeof step.failure, format, arguments);
	va_end(arguments);
}

/* As root, before the user's tasks exist: puts the user's ticket into the job's cache, or finds it there. */
static void begin_step(spank_t spank)
{
	uid_t uid;
	gid_t gid;
	struct step_words about;
	char variable[64], theirs[TEXT_LENGTH], ccache[TEXT_LENGTH] = "", found[TEXT_LENGTH + 16];
	if (!describe_step(spank, &uid, &gid, &about)) {
		fail_step("unable to determine the user of this job");
		return;
	}
	spank_err_t known = spank_getenv(spank, MODE_VARIABLE, variable, sizeof variable);
	enum mode mode = mode_for(uid, known == ESPANK_ENV_NOEXIST ? NULL : known == ESPANK_SUCCESS ? variable : "");
	if (mode == NO) {
		slurm_verbose("spank-auks: mode disabled");
		return;
	}
	if (spank_getenv(spank, CACHE_VARIABLE, theirs, sizeof theirs) != ESPANK_SUCCESS)
		theirs[0] = '\0';
	snprintf(found, sizeof found, "--found=%s", theirs);
	if (settings.ccache != NULL)
		snprintf(ccache, sizeof ccache, "--ccache=%s", settings.ccache);
	else if (settings.file)
		snprintf(ccache, sizeof ccache, "--ccache=/tmp/krb5cc_%%u_%%j_XXXXXX");
	step.job_file = open_job_file();
	if (step.job_file < 0) {
		fail_step("unable to keep %s : %s", step.job_path, strerror(errno));
		return;
	}
	const char *words[12] = { "mungebox", "auks-step", "begin", about.uid, about.gid, about.job, about.step, found };
	size_t count = 8;
	if (ccache[0] != '\0')
		words[count++] = ccache;
	if (settings.no_switch)
		words[count++] = "--no-switch";
	struct outcome begun;
	run(words, step.job_file, settings.host_cache, OWN_SESSION, &begun);
	lock_job_file(step.job_file, F_UNLCK);
	if (!begun.succeeded) {
		fail_step("%s", begun.err);
		return;
	}
	if (begun.err[0] != '\0')
		slurm_verbose("spank-auks: %s", begun.err);
	if (spank_setenv(spank, CACHE_VARIABLE, begun.out, 1) != ESPANK_SUCCESS)
		fail_step("unable to set " CACHE_VARIABLE " for the job");
	start_renewer(uid, gid, begun.out);
	if (settings.stack)
		setenv(CACHE_VARIABLE, begun.out, 1);
}

/* The job's last step on this node, or with per_step each step, destroys the cache. */
static void end_step(spank_t spank)
{
	uid_t uid;
	gid_t gid;
	struct step_words about;
	struct outcome ended;
	if (step.job_file < 0)
		return;
	if (describe_step(spank, &uid, &gid, &about) && lock_job_file(step.job_file, F_WRLCK) == 0 &&
	    flock(step.job_file, LOCK_EX | LOCK_NB) == 0) {
		const char *words[] = { "mungebox", "auks-step", "end", about.uid, about.gid, NULL };
		if (settings.sync)
			sync();
		run(words, step.job_file, NULL, OWN_SESSION_TO_THE_END, &ended);
		/* If that fails the job's file stays, for slurm_spank_job_epilog(). */
		unlink(step.renewer_path);
		if (!ended.succeeded || unlink(step.job_path) < 0)
			slurm_error("spank-auks: unable to destroy the ccache of the job : %s", ended.err);
		else if (ended.out[0] != '\0')
			slurm_verbose("spank-auks: Destroyed ccache %s", ended.out);
	}
	close(step.job_file);
	step.job_file = -1;
}

/* Callbacks */

int slurm_spank_init(spank_t spank, int count, char *arguments[])
{
	for (int i = 0; i < count; i++) {
		if (read_argument(arguments[i]) < 0) {
			slurm_error("spank-auks: bad argument %s in plugstack.conf", arguments[i]);
			return -1;
		}
	}
	spank_context_t context = spank_context();
	if (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR && context != S_CTX_REMOTE)
		return 0;
	return spank_option_register(spank, &auks_option) == ESPANK_SUCCESS ? 0 : -1;
}

int slurm_spank_init_post_opt(spank_t spank, int count, char *arguments[])
{
	(void)count;
	(void)arguments;
	spank_context_t context = spank_context();
	if (context == S_CTX_LOCAL || context == S_CTX_ALLOCATOR)
		return forward();
	if (context == S_CTX_REMOTE)
		begin_step(spank);
	return 0;
}

/* Only from here on do messages reach the user, such as the reason why a required plugin stops the step. */
int slurm_spank_user_init(spank_t spank, int count, char *arguments[])
{
	(void)count;
	(void)arguments;
	if (spank_get_item(spank, S_JOB_LOCAL_TASK_COUNT, &step.running_tasks) != ESPANK_SUCCESS)
		step.running_tasks = 0;
	if (step.failure[0] != '\0')
		slurm_error("spank-auks: %s", step.failure);
	return 0;
}

/* Ends the tasks of a step that failed, if the plugin is required. In a batch job, any earlier failure drains the node. */
int slurm_spank_task_init(spank_t spank, int count, char *arguments[])
{
	(void)spank;
	(void)count;
	(void)arguments;
	return step.failure[0] == '\0' ? 0 : -1;
}

int slurm_spank_task_exit(spank_t spank, int count, char *arguments[])
{
	(void)spank;
	(void)count;
	(void)arguments;
	if (step.running_tasks > 0 && --step.running_tasks == 0)
		stop_renewer();
	return 0;
}

int slurm_spank_exit(spank_t spank, int count, char *arguments[])
{
	(void)count;
	(void)arguments;
	if (spank_context() != S_CTX_REMOTE)
		return 0;
	stop_renewer();
	end_step(spank);
	return 0;
}

/*
 * Cleans up after steps that ended without slurm_spank_exit(), by a crash or SIGKILL. It never fails: if the plugin is
 * required, that would drain the node, and a user can make the removal of their own cache fail.
 */
int slurm_spank_job_epilog(spank_t spank, int count, char *arguments[])
{
	(void)count;
	(void)arguments;
	uint32_t job;
	uid_t uid;
	if (access(JOBS_DIRECTORY, F_OK) < 0)
		return 0;
	if (spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_UID, &uid) != ESPANK_SUCCESS) {
		slurm_error("spank-auks: unable to determine the job that has ended");
		return 0;
	}
	char about_uid[32], about_job[32];
	snprintf(about_uid, sizeof about_uid, "--uid=%u", uid);
	snprintf(about_job, sizeof about_job, "--job=%u", job);
	const char *words[] = { "mungebox", "auks-step", "clean", about_uid, about_job, "--jobs=" JOBS_DIRECTORY, NULL };
	struct outcome cleaned;
	run(words, -1, NULL, OWN_SESSION_TO_THE_END, &cleaned);
	if (!cleaned.succeeded)
		slurm_error("spank-auks: %s", cleaned.err);
	return 0;
}
