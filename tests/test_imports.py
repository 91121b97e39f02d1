"""The house stands: every room has a floor, imports go down only, and none of them is heavy."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

import equate_srbench

PACKAGE = "equate_srbench"
ROOT = Path(equate_srbench.__file__).parent
HEAVY = ("torch", "sympy", "IPython", "numba", "matplotlib", "sklearn", "pandas")

#: Rooms from the ground: folders (without the folders in them) and modules beside them. A room
#: imports only from itself and from floors below its own.
FLOORS = (
    ("runtime",),
    ("data", "expr"),
    ("expr.text",),
    ("expr.algebra",),
    ("expr.sympy", "expr.tokens"),
    ("refine", "backbone"),
    ("backbone.convert", "equation"),
    ("problem",),
    ("enumeration",),
    ("equate", "edits", "families"),
    ("structure",),
    ("search",),
    ("formula_regressor", "results", "sklearn_callbacks"),
    ("search_regressor", "teacher", "pretrain.corpus"),
    ("pretrain",),
    ("regressor",),
    ("distilled", "baselines.workers"),
    ("baselines",),
    ("bench.suites",),
    ("bench",),
    ("bench.execution",),
    ("srbench",),
    ("report",),
    ("report.tables",),
    ("report.figures",),
    ("report.fit", "report.comparison"),
    ("report.notebooks",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: What an installed package carries along besides its modules.
CARRIED = {"notebook_files", "_submission"}
_NAMED = re.compile(rf"{PACKAGE}(\.\w+)+(:\w+)?")

Graph = Mapping[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Files by module name, without the package's own name; a package is its ``__init__``.

    The package itself is left out: it only says where its public names are.
    """
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not CARRIED & set(parts) and parts != ("__init__",):
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room_of(module: str, path: Path, root: Path) -> str:
    """The folder that a module lies in; of a module beside the folders its own name."""
    return ".".join(path.relative_to(root).parent.parts) or module


def public_names(root: Path) -> dict[str, str]:
    """Modules of the names that the package itself offers."""
    tree = ast.parse((root / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.name: _inside(node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.")
        for alias in node.names
    }


@cache  # most modules of a spoilt copy are the package's own
def imported(text: str) -> frozenset[str]:
    """What the text of a module imports from the package, anywhere in it.

    Imports for types only count, and so do modules that are named in a string, such as
    ``"equate_srbench.regressor:EquateRegressor"``: they are loaded by that name.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, f"relative import: {ast.unparse(node)}"
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            case ast.Constant(value=str(word)) if _NAMED.fullmatch(word):
                names.add(word.replace(":", "."))
    return frozenset(_inside(name) for name in names if name.startswith(f"{PACKAGE}."))


def _inside(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def module_graph(root: Path) -> dict[str, set[str]]:
    """Which modules each module imports; a name is looked up in the module that has it."""
    found, public = modules(root), public_names(root)
    graph = {}
    for module, path in found.items():
        names = {public.get(name, name) for name in imported(path.read_text(encoding="utf-8"))}
        graph[module] = {name if name in found else name.rpartition(".")[0] for name in names}
        graph[module] &= found.keys() - {module}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that lead to each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for node in graph[todo.pop()] - seen:
                seen.add(node)
                todo.append(node)
        return seen

    reach = {node: reached(node) for node in graph}
    groups = {
        tuple(sorted(other for other in reach[node] if node in reach[other])): None
        for node in graph
        if node in reach[node]
    }
    return [list(group) for group in groups]


def merged(graph: Graph, part: Mapping[str, str]) -> dict[str, set[str]]:
    """The graph of the parts that its nodes belong to."""
    parts: dict[str, set[str]] = {name: set() for name in part.values()}
    for node, others in graph.items():
        parts[part[node]] |= {part[other] for other in others} - {part[node]}
    return parts


# -- what is wrong with a package, in words; nothing if all is well --------------------------------


def rooms(root: Path) -> dict[str, str]:
    """The room of every module."""
    return {name: room_of(name, path, root) for name, path in modules(root).items()}


def without_floor(root: Path) -> list[str]:
    """Rooms that no floor names, and rooms on a floor that are not there."""
    there = set(rooms(root).values())
    return [f"{room} has no floor" for room in sorted(there - FLOOR.keys())] + [
        f"{room} has a floor and is not there" for room in sorted(FLOOR.keys() - there)
    ]


def climbing_imports(root: Path) -> list[str]:
    """Imports of a module on the same floor or above, in another room."""
    room = rooms(root)
    ground, roof = -1, len(FLOORS)  # a room without a floor imports nothing and is imported by none
    return [
        f"{module} imports {other}"
        for module, others in module_graph(root).items()
        for other in sorted(others)
        if room[module] != room[other]
        and FLOOR.get(room[other], roof) >= FLOOR.get(room[module], ground)
    ]


def circles_of_modules(root: Path) -> list[str]:
    """Modules that import each other, directly or on a way round."""
    return [" - ".join(group) for group in circles(module_graph(root))]


def circles_of_packages(root: Path) -> list[str]:
    """Rooms, and top-level packages with all that is in them, that import each other."""
    graph, room = module_graph(root), rooms(root)
    parts = {module: module.partition(".")[0] for module in graph}
    found = circles(merged(graph, room)) + circles(merged(graph, parts))
    return sorted({" - ".join(group) for group in found})


def plan(root: Path) -> str:
    """Every folder and top-level module with its floor, from the ground."""
    room = list(rooms(root).values())
    lines = [
        f"  {FLOOR[name]:>5}  {name:20} {room.count(name):>2} modules"
        for name in sorted(set(room) & FLOOR.keys(), key=lambda name: (FLOOR[name], name))
    ]
    return "\n".join(["  floor  room", *lines])


def test__package__as_it_is__no_circle_and_no_climb(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every room has a floor, imports go down only; a run of this file alone shows the plan."""
    packages, in_modules = circles_of_packages(ROOT), circles_of_modules(ROOT)
    climbing, homeless = climbing_imports(ROOT), without_floor(ROOT)
    if len({item.path for item in request.session.items}) == 1:
        with capsys.disabled():
            print(
                f"\n{len(in_modules)} circles of modules, {len(packages)} circles of packages, "
                f"{len(climbing)} climbing imports, {len(homeless)} rooms without a floor"
            )
            print(plan(ROOT))
    wrong = [*homeless, *climbing]
    wrong += [f"circle of modules: {circle}" for circle in in_modules]
    wrong += [f"circle of packages: {circle}" for circle in packages]
    assert not wrong, "\n".join(wrong)


def test__architecture_page__floors__are_those_of_the_guard() -> None:
    """The table of ``docs/architecture.md`` names every room on its floor."""
    page = ROOT.parent / "docs" / "architecture.md"
    if not page.is_file():
        pytest.skip("an installed package has no docs beside it")
    lines = re.findall(r"^\| (\d+) \| ([^|]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = {
        room.strip("/").replace("/", "."): int(floor)
        for floor, cell in lines
        for room in re.findall(r"`([^`]+)`", cell)
    }
    assert named == FLOOR


# -- the guard itself, on a copy ------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's modules, to be spoilt."""
    folder = tmp_path / PACKAGE
    for path in [ROOT / "__init__.py", *modules(ROOT).values()]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def spoil(root: Path, module: str, line: str) -> None:
    """Add a line to a module."""
    path = root / f"{module.replace('.', '/')}.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "import equate_srbench.cli.main",
        "from equate_srbench.cli import main",
        "from equate_srbench import EquateRegressor",
        "def late():\n    from equate_srbench.cli.main import app",
        "if TYPE_CHECKING:\n    from equate_srbench.cli.main import app",
        "LAZY = 'equate_srbench.cli.main:app'",
    ],
)
def test__climbing_import__on_a_copy__is_seen(copy: Path, line: str) -> None:
    """However it is written: an import of a higher floor, also in a function or for types."""
    before = climbing_imports(copy)
    spoil(copy, "expr.tree", line)
    (new,) = set(climbing_imports(copy)) - set(before)
    assert new.startswith(("expr.tree imports cli.main", "expr.tree imports regressor"))
    assert circles_of_packages(copy) != circles_of_packages(ROOT)


def test__import_across__on_a_copy__is_seen(copy: Path) -> None:
    """Two rooms of one floor know nothing of each other."""
    before = climbing_imports(copy)
    spoil(copy, "backbone.config", "from equate_srbench.refine.kernel import run")
    (new,) = set(climbing_imports(copy)) - set(before)
    assert new == "backbone.config imports refine.kernel"


def test__circle_in_a_room__on_a_copy__is_seen(copy: Path) -> None:
    """Two modules of one room that import each other, one of them for types."""
    before = circles_of_modules(copy)
    spoil(
        copy, "expr.operators", "if TYPE_CHECKING:\n    from equate_srbench.expr.tree import Tree"
    )
    (new,) = set(circles_of_modules(copy)) - set(before)
    assert {"expr.operators", "expr.tree"} <= set(new.split(" - "))


@pytest.mark.parametrize("place", ["attic/beams.py", "expr/cellar/wine.py", "shed.py"])
def test__new_room__on_a_copy__needs_a_floor(copy: Path, place: str) -> None:
    """A new folder, at the top or in another one, or a new module beside the folders."""
    before = without_floor(copy)
    path = copy / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('"""New."""\n', encoding="utf-8")
    (new,) = set(without_floor(copy)) - set(before)
    room = place.removesuffix(".py") if "/" not in place else place.rpartition("/")[0]
    assert new == f"{room.replace('/', '.')} has no floor"


def test__room_that_went__on_a_copy__is_taken_off_the_plan(copy: Path) -> None:
    """A floor whose folder is gone is seen."""
    shutil.rmtree(copy / "data")
    assert "data has a floor and is not there" in without_floor(copy)


# -- what is loaded -------------------------------------------------------------------------------


def test__import__package__loads_nothing_heavy() -> None:
    """``import equate_srbench`` and the command line's help wait for no heavy library."""
    code = "import sys, equate_srbench, equate_srbench.cli.main; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(run.stdout.split()) & set(HEAVY)
    assert not loaded


def test__public_names__each__loads_and_is_listed() -> None:
    """Every public name exists, has a docstring and is listed by ``dir``."""
    assert sorted(equate_srbench.__all__) == equate_srbench.__all__
    for name in equate_srbench.__all__:
        assert getattr(equate_srbench, name).__doc__
        assert name in dir(equate_srbench)


def test__public_names__unknown__attribute_error() -> None:
    """An unknown name is an ordinary AttributeError, so that ``hasattr`` works."""
    assert not hasattr(equate_srbench, "NoSuchThing")


def test__version__installed__is_the_metadata() -> None:
    """The version is read from the installed package, not written twice."""
    assert equate_srbench.__version__.count(".") == 2
