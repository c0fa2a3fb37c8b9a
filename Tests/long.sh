#!/bin/sh
# The tests with full counts, in named stages: `make test-long`.
#
#   long.sh [--minutes N] [STAGE...]
# Each stage prints its name, seed, seconds and result. With --minutes, stages begin until N minutes are used, starting at one
# that moves with the number of commits, so that every stage has its turn; one that is not reached prints "not run".
# ZZSYNC_SEED names the seed; without it the seed is the number of commits. Exit status 1 if a stage failed.
set -u
cd "$(dirname "$0")/.."

STAGES="kill demo-release simulate codec-long unit-long"
minutes=0
while [ $# -gt 0 ]; do
  case "$1" in
    --minutes) minutes=${2:?"--minutes needs a number"}; shift 2 ;;
    -*) echo "usage: $0 [--minutes N] [STAGE...]" >&2; exit 2 ;;
    *) break ;;
  esac
done
for stage in "$@"; do
  case " $STAGES " in *" $stage "*) ;; *) echo "$0: no stage '$stage'; there are: $STAGES" >&2; exit 2 ;; esac
done
if [ $# -gt 0 ]; then STAGES="$*"; fi

commits=$(git rev-list --count HEAD 2>/dev/null || echo 1)
named_seed=${ZZSYNC_SEED:-}
ZZSYNC_SEED=${ZZSYNC_SEED:-$commits}
ZZSYNC_COUNTS=long
export ZZSYNC_SEED ZZSYNC_COUNTS
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM HUP
began=$(date +%s)

# A filter that finds no test is a failure, not a pass.
tests() { swift test --skip-build --disable-xctest "$@" 2>&1 && grep -q 'Test run with [1-9]' "$logs/$stage"; }

# The same 500 seeds every time, so that no landing hangs on a seed that nobody has run; a seed that was named moves them. Two
# processes share them.
simulate() {
  first=$((${named_seed:-2} * 500 + 1))
  .build/release/zzsync simulate --first "$first" --seeds 250 &
  other=$!
  .build/release/zzsync simulate --first "$((first + 250))" --seeds 250
  status_here=$?
  wait "$other" && [ "$status_here" = 0 ]
}

run() {
  case "$1" in
    kill) tests --filter KillTests ;;
    codec-long) tests --filter Codec ;;
    unit-long) tests --skip KillTests ;;
    simulate) make build && simulate ;;
    demo-release) make build && /usr/bin/python3 Tests/demo/demo.py --binary .build/release/zzsync --seed "$ZZSYNC_SEED" ;;
  esac
}

swift build --build-tests || exit 1

count=$(echo "$STAGES" | wc -w)
first=0
if [ "$minutes" -gt 0 ]; then first=$((commits % count)); fi
status=0
number=0
set -- $STAGES $STAGES
shift "$first"
while [ "$number" -lt "$count" ]; do
  stage=$1
  shift
  number=$((number + 1))
  start=$(date +%s)
  if [ "$minutes" -gt 0 ] && [ $((start - began)) -ge $((minutes * 60)) ]; then
    echo "long: $stage: not run"
    continue
  fi
  echo "long: $stage: seed $ZZSYNC_SEED ..."
  : >"$logs/$stage"
  if run "$stage" >"$logs/$stage" 2>&1; then result=passed; else result=FAILED; status=1; fi
  if [ "$result" = FAILED ]; then tail -n 100 "$logs/$stage"; else grep -E 'Test run with|^kill -9|^Every number|seeds, |cases \(|writes \(' "$logs/$stage"; fi
  echo "long: $stage: seed $ZZSYNC_SEED, $(($(date +%s) - start)) s, $result"
done
exit "$status"
