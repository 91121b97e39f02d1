"""How often ``rewrite`` undoes expansions of short laws, and how long a tree takes.

Short laws are drawn and blown up by random equalities (distributing, splitting constants, double
angles, common denominators, ...); a law counts as found again if the rewritten formula has at most
1.2 times the law's nodes. Also printed: formulas whose values changed, and processor time.

Run: ``OMP_NUM_THREADS=1 python benchmarks/rewriting.py [--laws 400] [--seed 5] [--show 10]``
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.text.printing import to_text
from equate_srbench.expr.tree import Tree

NAMES = ["a", "b", "c"]
SIZES = 5, 15  # nodes of a law
SHARE = 1.2
LARGEST = 60  # nodes of a formula blown up
Rule = Callable[[Tree, Random], Tree | None]
_FUNCTIONS = ("square", "sqrt", "inv", "exp", "log", "sin", "cos", "cube", "tan", "tanh")
_FUNCTION_SHARES = (4, 3, 1, 2, 1.5, 2, 2, 0.7, 0.3, 0.3)
f = Tree.apply


def number(value: float) -> Tree:
    """A constant leaf."""
    return Tree.constant(value)


def law(rng: Random) -> Tree:
    """A random short law: three columns, constants of up to three digits."""
    while True:
        tree = _law(rng, rng.randint(3, 5))
        names = [BY_CODE[s].name for s in tree.symbols if 0 < s < VARIABLE]
        deep = sum(names.count(n) for n in ("exp", "log", "sin", "cos", "tan", "tanh"))
        if SIZES[0] <= tree.size <= SIZES[1] and tree.columns and deep <= 2:
            values = evaluate(tree, _rows(rng.randrange(10**6), positive=True))
            if np.isfinite(values).all() and np.ptp(values) > 0.0 and np.abs(values).max() < 1e6:
                return tree


def _law(rng: Random, depth: int) -> Tree:
    if depth <= 1 or rng.random() < 0.12:
        if rng.random() < 0.25:
            return number(rng.choice([1.0, 2.0, 3.0, 0.5, round(rng.uniform(0.1, 9.0), 2)]))
        return Tree.variable(rng.randrange(3))
    if rng.random() < 0.35:
        name = rng.choices(_FUNCTIONS, _FUNCTION_SHARES)[0]
        return f(name, _law(rng, depth - 1))
    name = rng.choices(("add", "sub", "mul", "div", "pow"), (4, 3, 6, 3, 0.4))[0]
    left = _law(rng, depth - 1)
    if name == "pow":
        return f(name, left, number(rng.choice([1.5, -2.0, 2.5, -0.5])))
    return f(name, left, _law(rng, depth - 1))


# -- equalities, each read from the short side to the long one -----------------------------------


def _is(tree: Tree, *names: str) -> bool:
    return 0 < tree.symbols[0] < VARIABLE and BY_CODE[tree.symbols[0]].name in names


def _distribute(t: Tree, rng: Random) -> Tree | None:
    if _is(t, "mul"):
        u, v = t.args()
        if _is(u, "add", "sub"):
            u, v = v, u
        if _is(v, "add", "sub"):
            name = BY_CODE[v.symbols[0]].name
            return f(name, *(f("mul", u, w) for w in v.args()))
    if _is(t, "div") and _is(t.args()[0], "add", "sub"):
        u, v = t.args()
        return f(BY_CODE[u.symbols[0]].name, *(f("div", w, v) for w in u.args()))
    if _is(t, "square") and _is(t.args()[0], "add", "sub"):
        (u,) = t.args()
        a, b = u.args()
        ends = f("add", f("square", a), f("square", b))
        return f(BY_CODE[u.symbols[0]].name, ends, f("mul", number(2.0), f("mul", a, b)))
    if _is(t, "cube"):
        (u,) = t.args()
        return f("mul", u, f("square", u))
    return None


def _horner(t: Tree, rng: Random) -> Tree | None:
    if not _is(t, "add", "sub") or not all(_is(u, "mul") for u in t.args()):
        return None
    (a, b), (c, d) = (u.args() for u in t.args())
    for x, y in ((a, b), (b, a)):
        for z, w in ((c, d), (d, c)):
            if x == z:
                return f("mul", x, f(BY_CODE[t.symbols[0]].name, y, w))
    return None


def _neutral(t: Tree, rng: Random) -> Tree | None:
    other = rng.choice([Tree.variable(rng.randrange(3)), number(round(rng.uniform(0.5, 5.0), 2))])
    return rng.choice(
        [
            lambda: f("mul", number(1.0), t),
            lambda: f("sub", f("add", t, other), other),
            lambda: f("add", f("sub", t, other), other),
            lambda: f("div", f("mul", t, other), other),
            lambda: f("inv", f("inv", t)),
            lambda: f("sub", number(0.0), f("sub", number(0.0), t)),
        ]
    )()


def _split(t: Tree, rng: Random) -> Tree | None:
    if t.symbols != (CONSTANT,):
        return None
    c, part = t.constants[0], round(rng.uniform(0.3, 3.0), 2)
    if rng.random() < 0.5:
        return f("add", number(c - part), number(part))
    return f("mul", number(c / part), number(part))


def _scaled(t: Tree, rng: Random) -> Tree | None:
    if not _is(t, "add", "sub"):
        return None
    part = round(rng.uniform(0.3, 3.0), 2)
    name = BY_CODE[t.symbols[0]].name
    inner = f(name, *(f("mul", number(1.0 / part), u) for u in t.args()))
    return f("mul", number(part), inner)


def _rooted(t: Tree, rng: Random) -> Tree | None:
    return f("square", f("sqrt", t)) if t.symbols[0] >= VARIABLE else None


def _angles(t: Tree, rng: Random) -> Tree | None:
    if _is(t, "tan"):
        return f("div", f("sin", t.args()[0]), f("cos", t.args()[0]))
    if not _is(t, "sin", "cos"):
        return None
    (u,) = t.args()
    half = f("mul", number(0.5), u)
    if _is(t, "sin"):
        return f("mul", number(2.0), f("mul", f("sin", half), f("cos", half)))
    return rng.choice(
        [
            lambda: f("sub", number(1.0), f("mul", number(2.0), f("square", f("sin", half)))),
            lambda: f("sub", f("square", f("cos", half)), f("square", f("sin", half))),
            lambda: f("sin", f("add", u, number(np.pi / 2.0))),
        ]
    )()


def _pythagoras(t: Tree, rng: Random) -> Tree | None:
    if t.symbols[0] != CONSTANT and rng.random() < 0.8:
        return None
    u = Tree.variable(rng.randrange(3))
    squares = f("square", f("sin", u)), f("square", f("cos", u))
    return f("add", f("mul", t, squares[0]), f("mul", t, squares[1]))


def _denominators(t: Tree, rng: Random) -> Tree | None:
    if not _is(t, "add", "sub") or not any(_is(u, "div", "inv") for u in t.args()):
        return None
    tops, bottoms = [], []
    for u in t.args():
        parts = u.args() if _is(u, "div") else None
        tops.append(parts[0] if parts else number(1.0) if _is(u, "inv") else u)
        bottoms.append(parts[1] if parts else u.args()[0] if _is(u, "inv") else number(1.0))
    name = BY_CODE[t.symbols[0]].name
    cross = f(name, f("mul", tops[0], bottoms[1]), f("mul", tops[1], bottoms[0]))
    return f("div", cross, f("mul", *bottoms))


def _functions(t: Tree, rng: Random) -> Tree | None:
    if _is(t, "exp"):
        (u,) = t.args()
        if _is(u, "add", "sub"):
            name = "mul" if _is(u, "add") else "div"
            return f(name, *(f("exp", v) for v in u.args()))
        return f("square", f("exp", f("mul", number(0.5), u)))
    if _is(t, "log"):
        (u,) = t.args()
        if _is(u, "mul", "div"):
            name = "add" if _is(u, "mul") else "sub"
            return f(name, *(f("log", v) for v in u.args()))
    if _is(t, "div"):
        u, v = t.args()
        return f("mul", u, f("inv", v))
    if _is(t, "pow") and t.args()[1].symbols == (CONSTANT,) and t.args()[1].constants[0] == 1.5:
        (u, _) = t.args()
        return rng.choice([f("cube", f("sqrt", u)), f("mul", u, f("sqrt", u))])
    return None


RULES: tuple[Rule, ...] = (_distribute, _distribute, _horner, _neutral, _split, _scaled, _rooted,
                           _angles, _pythagoras, _denominators, _functions)  # fmt: skip


def blown_up(tree: Tree, rng: Random, n_steps: int) -> Tree:
    """The law after ``n_steps`` random equalities at random nodes."""
    done = 0
    for _ in range(50 * n_steps):
        at = rng.randrange(tree.size)
        new = rng.choice(RULES)(tree.subtree(at), rng)
        if new is None:
            continue
        grown = tree.replace(at, new)
        if grown.size <= LARGEST:
            tree, done = grown, done + 1
            if done == n_steps:
                break
    return tree


# -- measuring -----------------------------------------------------------------------------------


def _rows(seed: int, *, positive: bool = False) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 3.0, (40, 3)) if positive else rng.uniform(-3.0, 3.0, (40, 3))


def changed(old: Tree, new: Tree) -> bool:
    """Whether values differ where the old formula and its parts are finite and sound.

    What rounding inside the old formula moves by, a thousandfold, may differ.
    """
    for positive in (True, False):
        X = _rows(1, positive=positive)
        a, b, rng = evaluate(old, X), evaluate(new, X), np.random.default_rng(0)
        with np.errstate(all="ignore"):
            moved = [_rounded(old, X, rng) for _ in range(4)]
            noise = np.max([np.abs(values - a) for values in moved], axis=0)
            wrong = ~(np.abs(a - b) <= 1e-9 * (1.0 + np.abs(a)) + 1e3 * noise)
            if np.any(np.isfinite(a) & np.isfinite(noise) & wrong):
                return True
    return False


def _rounded(tree: Tree, X: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Values with every part rounded at random; NaN where a part is not finite."""
    stack: list[NDArray[np.float64]] = []
    place = len(tree.constants)
    for symbol in reversed(tree.symbols):
        if symbol == CONSTANT:
            place -= 1
            value = np.full(len(X), tree.constants[place])
        elif symbol >= VARIABLE:
            value = X[:, symbol - VARIABLE]
        else:
            op = BY_CODE[symbol]
            value = op.array(np, *(stack.pop() for _ in range(op.arity)))
        value = value * (1.0 + 2e-16 * rng.normal(size=len(X)))
        stack.append(np.where(np.isfinite(value), value, np.nan))
    return stack[0]


def main() -> None:
    """Print the share of laws found again, wrong values, and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--show", type=int, default=0, help="laws not found again to print")
    args = parser.parse_args()
    rng = Random(args.seed)  # noqa: S311
    for n_steps in (2, 4, 8):
        found, exact, wrong, seconds, sizes, shown = 0, 0, 0, [], [], 0
        for _ in range(args.laws):
            short = law(rng)
            long = blown_up(short, rng, n_steps)
            start = time.process_time()
            new = rewrite(long)
            seconds.append(time.process_time() - start)
            sizes.append(long.size)
            wanted, got = complexity(short), complexity(new)
            exact += got <= wanted
            bad = changed(long, new)
            wrong += bad
            if got <= SHARE * wanted:
                found += 1
            if (got > SHARE * wanted or bad) and shown < args.show:
                shown += 1
                for text, tree in (("law", short), ("long", long), ("new", new)):
                    print(f"{text:5} {complexity(tree):3} {to_text(tree, NAMES)}")
                print("WRONG\n" if bad else "")
        print(
            f"{n_steps} expansions, {args.laws} laws: within {SHARE} of the law "
            f"{100.0 * found / args.laws:.1f} %, not longer {100.0 * exact / args.laws:.1f} %, "
            f"wrong {wrong}, median {1e3 * statistics.median(seconds):.2f} ms, "
            f"mean {1e3 * statistics.mean(seconds):.2f} ms, max {1e3 * max(seconds):.1f} ms, "
            f"{statistics.mean(sizes):.0f} nodes"
        )


if __name__ == "__main__":
    main()
