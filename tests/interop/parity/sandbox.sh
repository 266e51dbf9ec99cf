#!/bin/sh
# Runs a case in mount, PID and host name (UTS) namespaces of its own, in which sandbox.ts starts this.
#   sandbox.sh DIRECTORY COMMANDS
# DIRECTORY is the case's own: `work` becomes /mnt, where the commands run, and `fstab` mounts the rest.
# It leaves the commands' status in DIRECTORY/status and the processes they left in DIRECTORY/processes.
directory=$1
commands=$2
mount --all --fstab "$directory/fstab" || exit 1
hostname node1
umask 022
cd /mnt || exit 1

# as UID COMMAND...: as another user, with a group of the same number and no other.
as() {
    as_id=$1
    shift
    setpriv --reuid "$as_id" --regid "$as_id" --clear-groups "$@"
}

# await COMMAND...: until it succeeds; the case's time limit ends it if it never does.
await() {
    until "$@"; do sleep 0.02; done
}

# serving SOCKET: whether a daemon answers there.
serving() {
    munge -n -S "$1" >/dev/null 2>&1
}

# told FILE [OPTION...]: whether the log of a daemon with these options has all the lines of its start; threads write
# some of them, in any order.
told() {
    case " $* " in
        *" -M "* | *" --mlockall "*) grep -qs 'Locked pages' "$1" || return 1 ;;
    esac
    grep -qs 'Created .* work thread' "$1" &&
        [ "$(grep -c 'Created .* work thread' "$1")" = \
            "$(grep -Ec 'Found .* supplementary|Disabled supplementary group mapping' "$1")" ]
}

# start OPTION...: a daemon in the background that has written all lines of its start.
log=/var/log/munge/munged.log
start() {
    munged "$@" && await told "${log}" "$@"
}

# begin COMMAND...: a daemon in the foreground that has written all lines of its start, or has ended.
begin() {
    "$@" 2>"$directory/daemon" &
    daemon=$!
    begin_tries=0
    until told "$directory/daemon" "$@" || ! alive "$daemon" || [ "$begin_tries" = 200 ]; do
        sleep 0.02
        begin_tries=$((begin_tries + 1))
    done
}

# end [SIGNAL]: ends that daemon; its status and what it wrote.
end() {
    kill -"${1:-TERM}" "$daemon" 2>/dev/null
    wait "$daemon"
    end_status=$?
    cat "$directory/daemon" >&2
    return "$end_status"
}

# briefly COMMAND...: a daemon in the foreground from its start to its end.
briefly() {
    begin "$@"
    end
}

# alive PID: whether some thread of the process runs; a zombie doesn't.
alive() {
    [ -e "/proc/$1/exe" ] || [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -gt 1 ]
}

# signal NAME: sends it to the daemon in the background and waits until that has ended.
signal() {
    read -r signal_pid </run/munge/munged.pid
    kill -"$1" "$signal_pid"
    while alive "$signal_pid"; do sleep 0.02; done
}

# at OFFSET COMMAND...: with a clock that is wrong by that much, to be run by `begin`.
at() {
    at_offset=$1
    shift
    exec env FAKETIME="$at_offset" LD_PRELOAD="$(echo /usr/lib/*/faketime/libfaketime.so.1)" "$@"
}

# syslog: a system log; what it is told is in `heard`, without the time.
syslog() {
    mount -t tmpfs none /dev
    for syslog_device in null:3 zero:5 random:8 urandom:9; do
        mknod -m 666 "/dev/${syslog_device%:*}" c 1 "${syslog_device#*:}"
    done
    perl -MSocket -e '$| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un("/dev/log")) or die;
        while (defined recv(S, $m, 999, 0)) { chomp $m; $m =~ s/>.*? munged/> munged/; print "$m\n" }' >heard &
    await test -S /dev/log
}

# network: an interface eth9 with 10.9.8.7 and fd00::9, and link9 with the link-local 169.254.9.9.
network() {
    ip link set lo up
    ip link add eth9 type veth peer name link9
    ip address add 10.9.8.7/24 dev eth9
    ip -6 address add fd00::9/64 dev eth9 nodad
    ip address add 169.254.9.9/16 dev link9
    ip link set eth9 up
    ip link set link9 up
}

(eval "$commands")
echo $? >"$directory/status"
sleep 0.1 # a daemon may log what it has already answered
for process in /proc/[0-9]*; do
    read -r pid name state rest <"$process/stat" || continue
    name=${name#(}
    [ "$pid" = $$ ] || [ "$state" = Z ] || echo "${name%)}"
done 2>/dev/null >"$directory/processes"
