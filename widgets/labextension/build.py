"""Build the JupyterLab extension into ``prebuilt/``, which is committed so that users need no node.

    python widgets/labextension/build.py            # needs node and npm
    python widgets/labextension/build.py --check    # needs nothing: is prebuilt/ up to date?

A hash of the sources is stored with the build, so that a test can detect an outdated one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Folder that the wheel installs as ``share/jupyter/labextensions/equate-srbench``.
PREBUILT = HERE / "prebuilt"
STAMP = PREBUILT / "sources.sha256"

_IMPORT = re.compile(r"""^import [^"';]*["'](\.\.?/[^"']+)["'];""", re.MULTILINE)


def sources() -> list[Path]:
    """Source files of the build: the entry points and all their imports, in a fixed order."""
    found = [HERE / "package.json", HERE / "src" / "plugin.js", HERE / "src" / "trajectory.js"]
    for path in found:
        if path.suffix == ".js":
            for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
                needed = (path.parent / name).resolve()
                if needed not in found:
                    found.append(needed)
    return found


def fingerprint() -> str:
    """SHA-256 of the names and contents of all source files."""
    found = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def up_to_date() -> bool:
    """Whether ``prebuilt/`` was built from the current sources."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii").strip() == fingerprint()


def build() -> None:
    """Build the extension; installs the builder beside this file if it is missing.

    Raises
    ------
    subprocess.CalledProcessError
        If npm or the builder fails.
    """
    modules = HERE / "node_modules"
    if not modules.is_dir():
        npm = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit"]
        subprocess.run(npm, cwd=HERE, check=True)
    builder = modules / "@jupyter" / "builder" / "lib" / "build-labextension.js"
    core = modules / "@jupyterlab" / "core-meta" / "core.package.json"
    STAMP.unlink(missing_ok=True)
    subprocess.run(["node", builder, "--core-package-file", core, HERE], cwd=HERE, check=True)
    STAMP.write_text(f"{fingerprint()}\n", encoding="ascii")


def main() -> int:
    """Build or check; returns the exit code, 1 if the check fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="only compare the build with its sources"
    )
    if not parser.parse_args().check:
        build()
        return 0
    if not up_to_date():
        print(f"{PREBUILT} is outdated: run {Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
