"""``Equation``: one formula with its column names, the form in which users get results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.columns_by_name import read_table
from equate_srbench.expr.text.latex import to_latex
from equate_srbench.expr.text.names import default_names, plain_names
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import number_text, to_c, to_numpy, to_text
from equate_srbench.expr.text.serial import dump, load
from equate_srbench.expr.tree import Tree
from equate_srbench.refine.one_formula import fit_constants

if TYPE_CHECKING:
    import sympy

    from equate_srbench.expr.torch_module import FormulaModule


class Equation:
    """A formula over named columns.

    Parameters
    ----------
    tree : Tree
        With finite constants.
    feature_names : sequence of str, optional
        One name per column of the table, in order; any text. Default: ``x_0, x_1, ...`` for the
        columns that the formula uses; tables may then have further columns.
    named : bool, default=True
        Whether ``feature_names`` are the labels of the user's columns. If False they only number
        the columns, and tables with other labels are read by position.
    covariance : array-like of shape (n_constants, n_constants), optional
        Covariance of the constants, in the tree's order.
    metrics : mapping of str to number, optional
        Scores stored with the formula (``r2``, ``loss``, ...).

    Raises
    ------
    FormulaError
        If the tree is incomplete, a constant is not finite, or a column has no name.

    Examples
    --------
    >>> eq = Equation.from_string("2*sin(angle) + `x 1`", ["angle", "x 1"])
    >>> print(eq)
    2*sin(angle) + x_1
    >>> eq.complexity
    6
    >>> eq.predict([[0.0, 3.0]])
    array([3.])
    """

    __slots__ = ("_covariance", "_feature_names", "_metrics", "_named", "_tree", "_wider")

    def __init__(
        self,
        tree: Tree,
        feature_names: Sequence[str] | None = None,
        *,
        named: bool = True,
        covariance: ArrayLike | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        if not tree.is_valid():
            raise FormulaError(f"{tree.symbols} is not one complete formula")
        for value in tree.constants:
            number_text(value)  # refuses NaN and infinities
        used = max(tree.columns, default=-1) + 1
        self._named = named and feature_names is not None
        self._wider = feature_names is None  # tables may have more columns than there are names
        names = default_names(used) if feature_names is None else tuple(map(str, feature_names))
        if used > len(names):
            raise FormulaError(f"the formula uses column {used - 1}, but {len(names)} have names")
        self._tree = tree
        self._feature_names = names
        self._metrics = dict(metrics or {})
        self._covariance: NDArray[np.float64] | None = None
        if covariance is not None:
            self._covariance = _square(covariance, len(tree.constants))

    def with_tree(self, tree: Tree) -> Equation:
        """Another formula over the same columns, without covariance and metrics."""
        return self._with(tree, None, {})

    def _with(
        self, tree: Tree, covariance: NDArray[np.float64] | None, metrics: Mapping[str, float]
    ) -> Equation:
        names = self._feature_names
        out = Equation(tree, names, named=self._named, covariance=covariance, metrics=metrics)
        out._wider = self._wider
        return out

    # -- attributes -------------------------------------------------------------------------

    @property
    def tree(self) -> Tree:
        """The expression tree, over column numbers."""
        return self._tree

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Column names as given."""
        return self._feature_names

    @property
    def named(self) -> bool:
        """Whether the names are labels of the user's columns, not mere numbers of them."""
        return self._named

    @property
    def text_names(self) -> dict[str, str]:
        """Identifier in the formula text -> column name, for every column."""
        return dict(zip(plain_names(self._feature_names), self._feature_names, strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the formula uses."""
        return tuple(self._feature_names[j] for j in self._tree.columns)

    @property
    def size(self) -> int:
        """Number of nodes of the tree, one per operator, column and constant."""
        return self._tree.size

    @property
    def complexity(self) -> int:
        """SRBench's model size: nodes of the expression that SymPy parses from the text."""
        return complexity(self._tree)

    @property
    def constants(self) -> tuple[float, ...]:
        """Values of the constants in prefix order."""
        return self._tree.constants

    @property
    def standard_errors(self) -> tuple[float, ...] | None:
        """Standard errors of the constants; None if not fitted, NaN if undetermined."""
        if self._covariance is None:
            return None
        with np.errstate(invalid="ignore"):
            return tuple(np.sqrt(np.diag(self._covariance)).tolist())

    @property
    def covariance(self) -> NDArray[np.float64] | None:
        """Covariance of the constants (a copy); None if not fitted."""
        return None if self._covariance is None else self._covariance.copy()

    @property
    def metrics(self) -> dict[str, float]:
        """Scores stored with the formula (a copy)."""
        return dict(self._metrics)

    # -- computing --------------------------------------------------------------------------

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Evaluate the formula.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Columns of a DataFrame are found by name, in any order. Arrays are read by position,
            and so are DataFrames without these names if the formula's are only numbers (``x0``,
            from a fit on an array or on columns whose labels are not strings).

        Returns
        -------
        ndarray of shape (n_rows,)
            NaN or inf where the formula is undefined.

        Raises
        ------
        ValueError
            If columns are missing or the number of columns is wrong.
        """
        return evaluate(self._tree, self._table(X))

    def _table(self, X: Any) -> NDArray[np.float64]:
        return read_table(
            X, self._feature_names, self._tree.columns, named=self._named, wider=self._wider
        )

    def fit_constants(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Equation:
        """Refit the constants by least squares, starting from their current values.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), optional

        Returns
        -------
        Equation
            With the covariance of the constants and the metrics ``loss`` (weighted mean squared
            residual) and, unless ``y`` is constant, ``r2``.

        Raises
        ------
        ValueError
            If the formula is undefined on some row, or lengths differ.
        """
        table = self._table(X)
        target = np.asarray(y, dtype=np.float64)
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if target.shape != (len(table),):
            raise ValueError(f"y of shape {target.shape} for {len(table)} rows")
        undefined = ~np.isfinite(evaluate(self._tree, table))
        if undefined.any():
            raise ValueError(
                f"{self} is not defined on {undefined.sum()} of {len(table)} rows "
                f"(first: row {int(np.argmax(undefined))}): start from other constants"
            )
        fit = fit_constants(self._tree, table, target, weights)
        metrics = {"loss": fit.loss}
        unit = float(np.max(np.abs(target), initial=0.0)) or 1.0  # squares may leave float64
        centred = (target - np.average(target, weights=weights)) / unit
        variance = float(np.average(centred**2, weights=weights))
        if variance > 0.0:
            with np.errstate(all="ignore"):
                residual = (target - evaluate(fit.tree, table)) / unit
                unexplained = float(np.average(residual**2, weights=weights))
            metrics["r2"] = 1.0 - unexplained / variance
        return self._with(fit.tree, fit.covariance, metrics)

    def derivative(self, name: str) -> Equation:
        """Partial derivative with respect to column ``name``, simplified.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        from equate_srbench.expr.algebra.rewrite import rewrite
        from equate_srbench.expr.sympy.bridge import from_sympy, to_sympy

        if name not in self._feature_names:
            raise ValueError(f"no column '{name}'; columns are {', '.join(self._feature_names)}")
        symbols = self._symbols()
        slope = to_sympy(self._tree, symbols).diff(symbols[self._feature_names.index(name)])
        tree = from_sympy(slope, {symbol: j for j, symbol in enumerate(symbols)})
        return self.with_tree(rewrite(tree))

    # -- other forms ------------------------------------------------------------------------

    def __str__(self) -> str:
        return to_text(self._tree, plain_names(self._feature_names))

    def to_sympy(self) -> sympy.Expr:
        """SymPy expression over real symbols named like the columns."""
        from equate_srbench.expr.sympy.bridge import to_sympy

        return to_sympy(self._tree, self._symbols())

    def _symbols(self) -> list[sympy.Symbol]:
        import sympy

        return [sympy.Symbol(name, real=True) for name in self._feature_names]

    def to_latex(self, digits: int = 4) -> str:
        """LaTeX without dollar signs, constants rounded to ``digits`` significant digits."""
        return to_latex(self._tree, self._feature_names, digits)

    def to_numpy(self) -> str:
        """Python source of ``f(X)``, X a NumPy array of shape (n_rows, n_columns)."""
        return to_numpy(self._tree, self._feature_names)

    def to_c(self) -> str:
        """C99 source of ``double f(const double *x)``, x one row."""
        return to_c(self._tree, self._feature_names)

    def to_torch(self) -> FormulaModule:
        """Torch module with the constants as one trainable float64 parameter."""
        from equate_srbench.expr.torch_module import FormulaModule

        return FormulaModule(self._tree)

    # -- JSON -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text from which ``from_json`` restores an equal equation, bit for bit."""
        names = self._feature_names
        default = self._wider and len(names) == max(self._tree.columns, default=-1) + 1
        return dump(
            self._tree,
            text=str(self),
            feature_names=None if default else names,
            named=self._named,
            covariance=self._covariance,
            metrics=self._metrics,
        )

    @classmethod
    def from_json(cls, text: str) -> Equation:
        """Read an equation written by ``to_json``.

        Raises
        ------
        FormulaError
            If the text is anything else, or of a version newer than this package.
        """
        tree, names, rest = load(text)
        try:
            return cls(tree, names, **rest)
        except ValueError as error:
            raise FormulaError(f"damaged equation: {error}") from None

    @classmethod
    def from_string(cls, text: str, feature_names: Sequence[str] | None = None) -> Equation:
        """Parse formula text (see ``parser.parse``).

        Parameters
        ----------
        text : str
            Columns by name; names that are no identifiers in backticks (`` `x 1` ``) or as
            ``str`` prints them.
        feature_names : sequence of str, optional
            Columns of the table. Default: numbered columns, which ``text`` may call
            ``x_0, x_1, ...`` or, like fits of tables without names, ``x0, x1, ...``. Either way
            the equation is printed with ``x_0, x_1, ...``.

        Raises
        ------
        FormulaError
            If ``text`` is not a formula over these columns, or uses both ways to number them.

        Examples
        --------
        >>> print(Equation.from_string("x0*sin(x2)"))
        x_0*sin(x_2)
        """
        if feature_names is None:
            return cls(parse(text, _numbered(text)))
        names = tuple(map(str, feature_names))
        plain = plain_names(names)

        def unquoted(match: re.Match[str]) -> str:
            if match[1] not in names:
                raise FormulaError(f"no column `{match[1]}`; columns are {', '.join(names)}")
            return plain[names.index(match[1])]

        return cls(parse(re.sub(r"`([^`]*)`", unquoted, text), plain), names)

    # -- protocol ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"Equation({str(self)!r})"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # no text/html: JupyterLab prefers it to LaTeX and would not typeset the formula
        return {"text/plain": str(self), "text/latex": self._repr_latex_()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equation):
            return NotImplemented
        return self._tree == other._tree and self._feature_names == other._feature_names

    def __hash__(self) -> int:
        return hash((self._tree, self._feature_names))


def _square(covariance: ArrayLike, n: int) -> NDArray[np.float64]:
    """A copy of a covariance of ``n`` constants, its shape checked."""
    out = np.array(covariance, dtype=np.float64)
    if not n and not out.size:  # JSON has one empty list for all shapes
        out = np.empty((0, 0))
    if out.shape != (n, n):
        raise ValueError(f"covariance of shape {out.shape}, expected {(n, n)}")
    return out


def _numbered(text: str) -> tuple[str, ...]:
    """Names of the numbered columns in ``text``, which spells them all ``x_0`` or all ``x0``."""
    found = re.findall(r"\bx(_?)(\d{1,4})\b", text) if isinstance(text, str) else []
    marks = {mark for mark, _ in found}
    if len(marks) > 1:
        shown = (next(f"x{m}{n}" for m, n in found if m == mark) for mark in ("_", ""))
        raise FormulaError(
            f"columns are called {' and '.join(shown)}: write all of them like x_0 or all like x0"
        )
    n = max((int(number) for _, number in found), default=-1) + 1
    return tuple(f"x{j}" for j in range(n)) if marks == {""} else default_names(n)
