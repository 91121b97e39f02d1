"""Rehearses resumable training in a minimal environment.

Run: ``python benchmarks/rehearse.py --python python3.12 --torch torch==2.11.0``

An environment with torch, numpy, scipy, numba, safetensors and tqdm only is made (pip; pip's own
options apply, such as ``PIP_FIND_LINKS``), the package is copied as plain files, and a training of
a minute runs twice, the second time from what the first one left. Whatever does not hold ends the
rehearsal with exit code 1. Times are for a machine of one's own: where other work runs, all of them
are stretched by what a loop of arithmetic takes longer there, which is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

PACKAGES = ("numpy", "scipy", "numba", "safetensors", "tqdm")
FIRST_LINE_SECONDS, LINE_SECONDS, END_SECONDS = 60.0, 30.0, 60.0
SHARD_MIB, CARRIED_MIB = 15, 64
ROOT = Path(__file__).parents[1]
_LINE = re.compile(r"step (\d+)\s+\d+k examples\s+loss [\d.]+ .* \d+ ex/s\s+\d+ tok/s")

# Notes the first import of every name in every process, workers that are ended included.
_SPY = """
import os, sys
seen = set()
def spy(event, arguments):
    if event == "import" and arguments and isinstance(arguments[0], str):
        name = arguments[0].partition(".")[0]
        if name not in seen:
            seen.add(name)
            descriptor = os.open(os.environ["REHEARSAL_IMPORTS"], os.O_WRONLY | os.O_APPEND)
            os.write(descriptor, (name + "\\n").encode())
            os.close(descriptor)
sys.addaudithook(spy)
"""

# What the named packages bring along, and which of the imported names there is at all.
_JUDGE = """
import importlib.metadata as m, importlib.util, json, re, sys
named, imported = json.loads(sys.argv[1]), json.loads(sys.argv[2])
def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
wanted, queue = set(), [plain(n) for n in named]
while queue:
    name = queue.pop()
    if name in wanted:
        continue
    try:
        needs = m.requires(name) or []
    except m.PackageNotFoundError:
        continue
    wanted.add(name)
    queue += [plain(re.match(r"[\\w.-]+", n)[0]) for n in needs if "extra ==" not in n]
owners = {top: {plain(d) for d in ds} for top, ds in m.packages_distributions().items()}
found = [n for n in imported if n not in sys.stdlib_module_names and importlib.util.find_spec(n)]
print(json.dumps({
    "third party": sorted(n for n in found if n in owners),
    "not allowed": sorted(n for n in found if n in owners and not owners[n] & wanted),
}))
"""


class RehearsalError(AssertionError):
    """A requirement of the rehearsal does not hold."""


def check(holds: bool, what: str) -> None:
    """Print a requirement; RehearsalError if it does not hold."""
    print(f"{'ok  ' if holds else 'FAIL'} {what}", flush=True)
    if not holds:
        raise RehearsalError(what)


def slowdown() -> float:
    """Wall-clock over processor time of two busy seconds: 1 on an idle machine."""
    wall, busy = time.monotonic(), time.process_time()
    while time.process_time() - busy < 2.0:
        sum(range(10_000))
    return max(1.0, (time.monotonic() - wall) / (time.process_time() - busy))


def make_environment(folder: Path, python: str, torch: str) -> Path:
    """Create an environment with the given packages; returns its interpreter."""
    try:
        subprocess.run([python, "-m", "venv", folder], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"--python {python} makes no environment: {error}") from None
    interpreter = folder / "bin" / "python"
    subprocess.run([interpreter, "-m", "pip", "install", "-q", torch, *PACKAGES], check=True)
    return interpreter


def copy_package(folder: Path) -> None:
    """Copy the package's source tree, without installing it, and add the import recorder."""
    shutil.copytree(
        ROOT / "equate_srbench", folder / "equate_srbench",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    (folder / "sitecustomize.py").write_text(_SPY)


def train(interpreter: Path, home: Path, size: str, minutes: float) -> tuple[list[int], list[str]]:
    """Run one slice; returns the steps of its log lines and the imported modules."""
    imports = home / "imports.txt"
    imports.write_text("")
    stretch = slowdown()
    print(f"     this machine takes {stretch:.1f} times as long as an idle one")
    minutes *= stretch
    command = [
        interpreter, "-u", "-m", "equate_srbench.pretrain", "--device", "cpu",
        "--minutes", str(minutes), "--resume", "ckpt/", "--shard-mib", str(SHARD_MIB),
        "--size", size, "--decay", "0",
    ]  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(home),
        "REHEARSAL_IMPORTS": str(imports), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    start = time.monotonic()
    steps, times = [], []
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"     {time.monotonic() - start:5.1f} s  {line}", end="", flush=True)
            if match := _LINE.match(line):
                steps.append(int(match[1]))
                times.append(time.monotonic() - start)
    seconds = time.monotonic() - start
    check(process.returncode == 0, f"exit code {process.returncode}")
    check(len(times) > 1, f"{len(times)} lines with loss and throughput")
    check(times[0] <= stretch * FIRST_LINE_SECONDS, f"first loss line after {times[0]:.1f} s")
    widest = max(b - a for a, b in pairwise(times))
    check(widest <= stretch * LINE_SECONDS, f"a line every {widest:.1f} s or more often")
    limit = 60.0 * minutes + stretch * END_SECONDS
    check(seconds <= limit, f"ended after {seconds:.0f} s of {60 * minutes:.0f} s of training")
    return steps, sorted(set(imports.read_text().split()))


def check_imports(interpreter: Path, home: Path, imported: list[str]) -> None:
    """Check that only the given packages and their dependencies were imported."""
    done = subprocess.run(
        [interpreter, "-c", _JUDGE, json.dumps(["torch", *PACKAGES]), json.dumps(imported)],
        check=True, capture_output=True, text=True, cwd=home.parent,
    )  # fmt: skip
    found = json.loads(done.stdout)
    check("torch" in found["third party"], "imported: " + ", ".join(found["third party"]))
    check(not found["not allowed"], f"not allowed: {found['not allowed'] or 'none'}")


def check_state(folder: Path) -> None:
    """Check the sizes of the state files."""
    sizes = [path.stat().st_size / 2**20 for path in folder.iterdir()]
    state = [path.stat().st_size / 2**20 for path in folder.glob("state*")]
    check(max(sizes) <= SHARD_MIB, f"largest file {max(sizes):.1f} MiB")
    check(sum(state) <= CARRIED_MIB, f"state {sum(state):.1f} MiB in {len(state)} files")


def main() -> int:
    """Run the rehearsal; exit code 1 if a requirement does not hold."""
    parser = argparse.ArgumentParser(description="Training in a bare environment, rehearsed.")
    add = parser.add_argument
    add("--python", default=sys.executable, help="interpreter of the environment")
    add("--torch", default="torch", help="what pip installs as torch")
    add("--env", type=Path, help="an environment that is there already")
    add("--size", default="compact")
    add("--minutes", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        interpreter = (
            args.env / "bin" / "python"
            if args.env
            else make_environment(Path(folder) / "env", args.python, args.torch)
        )
        code = (
            "import sys, torch; print('Python', sys.version.split()[0], 'torch', torch.__version__)"
        )
        subprocess.run([interpreter, "-c", code], check=True)
        copy_package(home)
        try:
            last = 0
            for words in ("first slice", "second slice, resumed"):
                print(words)
                steps, imported = train(interpreter, home, args.size, args.minutes)
                check(steps[0] > last, f"goes on after step {last}")
                last = steps[-1]
                check_state(home / "ckpt")
            check_imports(interpreter, home, imported)
        except RehearsalError:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
