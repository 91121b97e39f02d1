#!/usr/bin/env bash
# Runs SRBench's own tests on our submission, in a checkout of SRBench that is already here:
#
#     git clone -b master https://github.com/cavalab/srbench     # or -b srbench_2025
#     pip install pytest-order pmlb                              # srbench_2025: eco2ai too
#     bash benchmarks/srbench_upstream.sh srbench
#
# It writes two folders into the checkout (`equate srbench export --force`) and its results into
# experiment/tmp_results there. The last lines are what docs/srbench.md quotes.
set -euo pipefail
[ $# = 1 ] && [ -d "$1/experiment" ] || { echo "usage: $0 CHECKOUT_OF_SRBENCH" >&2; exit 2; }
checkout=$(cd "$1" && pwd)
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

equate srbench export "$checkout" --force
cd "$checkout/experiment"
rm -rf tmp_results
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT

# run NAME COMMAND...: its last line goes into the summary, also when it fails
run() {
  local name=$1 log
  shift
  log=$(mktemp)
  echo "== $name: $*"
  if "$@" >"$log" 2>&1; then local state=ok; else local state=FAILED; fi
  tail -n 30 "$log"
  printf '%-8s %-40s %s\n' "$state" "$name" "$(grep -v '^$' "$log" | tail -n 1 | tr -d '=')" >>"$summary"
  rm -f "$log"
}

run "pytest test_algorithm.py" python -m pytest -p no:cacheprovider test_algorithm.py --ml equate
if [ -f test_population.py ]; then
  run "pytest test_population.py" python -m pytest -p no:cacheprovider -s test_population.py --ml equate
fi
run "pytest test_evaluate_model.py" python -m pytest -p no:cacheprovider -s test_evaluate_model.py --ml equate
for table in test/*.tsv.gz; do
  run "evaluate_model.py $table" \
    python evaluate_model.py "$table" -ml equate -seed 23654 -results_path tmp_results -fit_time_limit 60
done
for result in tmp_results/*_23654*.json; do
  python -c 'import json, sys
r = json.load(open(sys.argv[1]))
print(r["dataset"], "%.1f s" % r["time_time"], "R2 train %.4f test %.4f" % (r["r2_train"], r["r2_test"]),
      "size", r["model_size"], r["complexity_function"], r["symbolic_model"])' "$result" >>"$summary"
done

echo "== summary"
git log -1 --format='SRBench %H %cs'
python -c 'import platform
from importlib.metadata import version
names = ["equate-srbench", "numpy", "pandas", "scikit-learn", "sympy", "torch", "pytest"]
print("Python", platform.python_version(), *(f"{name} {version(name)}," for name in names))'
cat "$summary"
! grep -q '^FAILED' "$summary"
