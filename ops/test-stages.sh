# test-stages.sh - what ops/test runs; sourced by it, never run
# shellcheck shell=bash disable=SC2154,SC2034 # variables are ops/test's, or for it

stages="house who includes whom, sizes, layout
build the asan preset, warnings are errors
unit units, under address and undefined behaviour sanitizers
adapters conformance of every broker adapter, and Kafka's own traps
store PostgreSQL: every query, roles, row-level security
integration processes of the product on real Kafka and PostgreSQL
interop clients that are not ours
crash kill -9 at named points, zombies, servers that go away
fuzz garbage in, dead letters out
release what users run: hardening, and the trace once more
tsan units, under the thread sanitizer
valgrind units, under valgrind
coverage which lines units, conformance and the garbage test reach"

# what is shown of a log while it grows
telling='^ *[0-9]+/[0-9]+ Test +#|^(tests/)?[^ ]+::.* (PASSED|FAILED|ERROR)|^\[[0-9]+/[0-9]+\].*(Linking C exec)|: (warning|error): |^FAILED|^(install|kafka|valgrind): |^[0-9]+% tests|^=+ .* in [0-9]|^(core|schemas|workers)/.*%|^TOTAL|^lines'

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
sanitizer_slowness=3

# The caller's own settings of the product are no part of a test.
clean_environment() {
	local name
	for name in $(compgen -e BUSLINE_); do
		case $name in
		BUSLINE_TEST_* | BUSLINE_CACHE | BUSLINE_PG_BIN) ;;
		*) unset "$name" ;;
		esac
	done
	unset BUSLINE_TEST_KAFKA BUSLINE_TEST_KAFKA_DIR BUSLINE_TEST_PG
}

# count PASSED FAILED - of the stage that runs
count() {
	printf '%s %s\n' "$1" "$2" >>"$out/$name.counts"
}

# check COMMAND... - one check, one count
check() {
	local rc=0
	"$@" || rc=$?
	if [ "$rc" = 0 ]; then
		count 1 0
	else
		count 0 1
	fi
	return "$rc"
}

# ---- what stages stand on ---------------------------------------------------------------------

# build PRESET - configures and builds; says nothing when everything is there
build() {
	BUSLINE_WERROR=ON cmake --preset "$1" >"$out/configure-$1.log" 2>&1 || {
		cat "$out/configure-$1.log"
		return 1
	}
	cmake --build --preset "$1" -j "$jobs"
}

python=build/venv/bin/python
pytest_s=2400 # all tests of a stage; each waits with deadlines of its own

python_packages() {
	local wanted
	wanted=$(cat tests/requirements.txt)
	[ "$(cat build/venv/stamp 2>/dev/null)" != "$wanted" ] || return 0
	rm -rf build/venv
	python3 -m venv build/venv || return
	build/venv/bin/pip install --quiet --disable-pip-version-check --no-input --retries 5 \
		-r tests/requirements.txt || return
	printf '%s\n' "$wanted" >build/venv/stamp
}

servers=/tmp/busline-test.$$ # short: PostgreSQL's socket lies in it; PostgreSQL's own user must reach it

start_kafka() {
	mkdir -p "$servers"
	BUSLINE_TEST_KAFKA=$(ops/kafka/kafka start --dir "$servers/kafka") || return
	export BUSLINE_TEST_KAFKA BUSLINE_TEST_KAFKA_DIR=$servers/kafka
}

start_postgres() {
	mkdir -p "$servers"
	BUSLINE_TEST_PG=$(ops/postgres/postgres start --dir "$servers/pg") || return
	export BUSLINE_TEST_PG
}

remove_servers() {
	[ -d "$servers" ] || return 0
	[ ! -d "$servers/kafka" ] || ops/kafka/kafka remove --dir "$servers/kafka"
	[ ! -d "$servers/pg" ] || ops/postgres/postgres remove --dir "$servers/pg"
	rm -rf "$servers"
}

# run_ctest PRESET LABELS [ARGUMENT...] - LABELS is a regular expression; that nothing ran is a failure
run_ctest() {
	local rc=0 log=build/$1/Testing/Temporary/LastTest.log
	rm -f "$log"
	ctest --test-dir "build/$1" -L "^($2)\$" --no-tests=error --output-on-failure "${@:3}" || rc=$?
	[ ! -f "$log" ] || count_cases "$log"
	return "$rc"
}

# Every program counts as many tests as CUnit ran in it; one that is no CUnit program, or died, counts as one.
count_cases() {
	# shellcheck disable=SC2046 # two words
	count $(awk '
		function add() {
			if (program && !cases) { p = ok; f = !ok }
			if (program && cases && !ok && f == 0) f = 1
			if (program) { passed += p; failed += f }
		}
		/^[0-9]+\/[0-9]+ Testing: / { add(); program = 1; cases = ok = p = f = 0 }
		/^ +tests +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+/ { cases = 1; p = $4; f = $5 }
		/^Test Passed\.$/ { ok = 1 }
		END { add(); print passed + 0, failed + 0 }' "$1")
}

# run_pytest BINARY ARGUMENT... - that nothing ran is a failure: pytest then ends 5
run_pytest() {
	local report=$out/$name.xml rc=0
	rm -f "$report"
	BUSLINE_BIN=$root/$1 timeout --kill-after=30 "$pytest_s" "$python" -m pytest -c tests/pytest.ini -v --tb=short -p no:cacheprovider \
		--junit-xml="$report" "${@:2}" || rc=$?
	if [ -f "$report" ]; then
		# shellcheck disable=SC2046 # two words
		count $("$python" - "$report" <<-'PY'
			import sys
			import xml.etree.ElementTree as tree
			suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
			bad = int(suite.get("failures")) + int(suite.get("errors")) + int(suite.get("skipped"))
			print(max(0, int(suite.get("tests")) - bad), bad)
		PY
		)
	fi
	return "$rc"
}

with_servers() {
	start_kafka && start_postgres || return
	"$@"
}

# ---- the stages -------------------------------------------------------------------------------

stage_install() {
	ops/install build run client kafka test && ops/kafka/kafka install && python_packages
}

stage_house() {
	local rc=0 title
	check tests/unit/check_includes || rc=1
	for title in $(tests/unit/check_house --list | awk '{ print $1 }'); do
		check tests/unit/check_house --only "$title" || rc=1
	done
	return "$rc"
}

stage_build() {
	check build asan
}

stage_unit() {
	build asan && run_ctest asan unit -j "$jobs"
}

stage_adapters() {
	build asan && start_kafka && run_ctest asan 'conformance|kafka'
}

stage_store() {
	build asan && run_ctest asan pg
}

# on the sanitizers' build, whose deadlines are longer
sanitized_pytest() {
	build asan && BUSLINE_TEST_SLOW=$sanitizer_slowness with_servers run_pytest build/asan/busline "$@"
}

stage_integration() {
	sanitized_pytest tests/integration
}

stage_interop() {
	sanitized_pytest tests/interop
}

stage_crash() {
	sanitized_pytest tests/crash
}

stage_fuzz() {
	sanitized_pytest tests/fuzz
}

stage_release() {
	build release || return
	check tests/unit/check_house --binary build/release/busline --fortified || return
	check tests/unit/check_padding build/release || return
	with_servers run_pytest build/release/busline tests/interop
}

# Millions of decisions in one thread, without memory of their own: minutes under valgrind and the thread sanitizer, for nothing
models=saga_model

# ThreadSanitizer of gcc 12 wants the addresses of a kernel that randomises less: setarch -R
stage_tsan() {
	build tsan || return
	setarch -R true || return
	setarch -R bash -c "$(declare -f run_ctest count_cases count); out=$out name=$name; run_ctest tsan unit -j $jobs -E 'check_|$models'"
}

# every unit test that is a program of ours, with the arguments that ctest knows
stage_valgrind() {
	local title directory command rc=0
	build dev || return
	while IFS=$'\t' read -r title directory command; do
		while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do
			wait -n || rc=1
		done
		valgrind_one "$title" "$directory" "$command" &
	done < <(ctest --test-dir build/dev -L '^unit$' --show-only=json-v1 | jq -r '
		.tests[] | select(.command[0] | test("/build/dev/")) | select(.name | test("'"$models"'") | not)
		| [.name, (.properties[] | select(.name == "WORKING_DIRECTORY").value), (.command | @sh)] | @tsv')
	while [ -n "$(jobs -p)" ]; do
		wait -n || rc=1
	done
	[ -s "$out/$name.counts" ] && return "$rc"
}

# valgrind_one NAME DIRECTORY COMMAND - the command is quoted for a shell
valgrind_one() {
	local log=$out/valgrind-$1.log start
	start=$(now_ms)
	if check bash -c "cd $(printf %q "$2") && exec valgrind -q --error-exitcode=9 --leak-check=full \
		--show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect,possible \
		--child-silent-after-fork=yes $3" >"$log" 2>&1; then
		printf 'valgrind: %s passed, %s ms\n' "$1" $(($(now_ms) - start))
	else
		printf 'valgrind: %s FAILED\n' "$1"
		cat "$log"
		return 1
	fi
}

# What was counted before, and what is left of files that belong to the build no more: gcovr cannot merge the two.
forget_old_counts() {
	local notes
	ninja -C build/coverage -t cleandead >/dev/null
	find build/coverage -name '*.gcda' -delete
	while read -r notes; do
		[ -e "${notes%.gcno}.o" ] || rm "$notes"
	done < <(find build/coverage -name '*.gcno')
}

stage_coverage() {
	build coverage || return
	forget_old_counts
	run_ctest coverage 'unit|conformance' -j "$jobs" || return
	# the engine is reached by real processes; these end in order, so that they write what they counted
	with_servers run_pytest build/coverage/busline tests/fuzz || return
	# from there, because a gcovr that dies leaves its files where it ran
	(cd build/coverage && gcovr -j "$jobs" --root "$root" --object-directory . --filter "$root/core/" \
		--filter "$root/schemas/" --filter "$root/workers/" --sort-percentage --print-summary | cut -c 1-100)
}
