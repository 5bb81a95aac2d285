# common.sh - what the scripts of ops/ share; sourced, never run
# shellcheck shell=bash

ops_name=${0##*/}

# say TEXT... - progress, on stderr: stdout belongs to what a caller reads
say() {
	printf '%s: %s\n' "$ops_name" "$*" >&2
}

# die TEXT... - the last word; sysexits 69, a service is not there, unless ops_status says otherwise
die() {
	say "$*"
	exit "${ops_status:-69}"
}

# usage_die TEXT... - the command line is wrong
usage_die() {
	say "$*"
	say "see $0 --help"
	exit 64
}

# help_of FILE - the comment block at a script's head is its help
help_of() {
	awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

# now_ms - a clock for deadlines and durations
now_ms() {
	local t=${EPOCHREALTIME/[.,]/}
	printf '%s\n' "$((t / 1000))"
}

# wait_until MS COMMAND... - runs COMMAND until it succeeds; 1 when MS have passed
wait_until() {
	local end=$(($(now_ms) + $1))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# port_open PORT - does anything listen there?
port_open() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port - a port nobody listens on, below the range from which the kernel takes ports for clients,
# so that a server that is stopped for a while finds its port free when it comes back
free_port() {
	local port
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		port_open "$port" || break
	done
	printf '%s\n' "$port"
}

# pid_runs FILE WORD - is the process in pid file FILE alive, and is it ours (WORD in its command line)?
# A pid file outlives its process when the machine goes down, and the number is given out again.
pid_runs() {
	local pid
	[ -s "$1" ] || return 1
	read -r pid _ <"$1" || return 1
	[ -r "/proc/$pid/cmdline" ] || return 1
	tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$2"
}

# need COMMAND... - refuses at once instead of failing half way
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || die "$c is missing: ops/install installs it"
	done
}
