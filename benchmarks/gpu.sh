#!/usr/bin/env bash
# Two prepared commands for a machine that has a GPU for some minutes, without a network:
#
#   bash benchmarks/gpu.sh train [STATE] [option of gpu_train.py ...]    at most 560 s
#   bash benchmarks/gpu.sh check                                         at most 200 s
#
# Everything is left in $OUT (default: runs/gpu). STATE is a folder with the state of a training;
# without one the training goes on from $OUT or runs/gpu if there is a state, else from the shipped
# checkpoint. PYTHON names the interpreter (default: python3). DRY_RUN=1 prints the commands only.
# SECONDS_TRAIN and SECONDS_PART shorten a rehearsal: of the training, and of each part of the check.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=${OUT:-runs/gpu}
export PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1

limited() { # seconds, command: SIGTERM at the limit, and SIGKILL five seconds later
    echo "+ timeout $*"
    [ -n "${DRY_RUN:-}" ] || timeout --signal=TERM --kill-after=5 "$@"
}

train() {
    local state=runs/gpu
    if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
        state=$1
        shift
    fi
    local seconds=${SECONDS_TRAIN:-540}
    limited "$((seconds + 10))" "$python" benchmarks/gpu_train.py --seconds "$seconds" \
        --out "$out" --state "$state" "$@"
}

part() { # name, seconds, command
    echo "== $1"
    shift
    local seconds=${SECONDS_PART:-$1} code=0
    shift
    limited "$seconds" "$@" || code=$?
    [ "$code" -ne 124 ] || echo "stopped after $seconds s"
    echo "== exit code $code"
    [ "$code" -eq 0 ] || failed=1
}

check() {
    local tests commit
    tests=$(grep -rl --include='test_*.py' 'mark\.gpu' tests)
    commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
    failed=0
    part "training: ratio of examples a second" 50 "$python" benchmarks/training.py --steps 16
    if "$python" -c 'import pytest' 2>/dev/null; then
        # shellcheck disable=SC2086 - one word a file
        part "tests that need a GPU" 60 "$python" -m pytest -q -m gpu -W default \
            -o addopts=--import-mode=importlib -p no:cacheprovider $tests
    else
        echo "== tests that need a GPU: no pytest here"
    fi
    part "fits: gpu_check, short" 70 "$python" benchmarks/gpu_check.py --sets 2 --seconds 3 \
        --minutes 1 --jobs 1 2 --trees 1000 10000 --commit "$commit" --out "$out/gpu.md"
    return "$failed"
}

case "${1:-}" in
train | check)
    mkdir -p "$out"
    command=$1
    shift
    "$command" "$@" 2>&1 | tee "$out/$command.txt"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
