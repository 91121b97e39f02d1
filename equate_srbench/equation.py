"""``Equation``: one formula with its column names, for people and programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.fitting import fit_constants
from equate_srbench.expr.text.columns_by_name import read_table
from equate_srbench.expr.text.latex import to_latex
from equate_srbench.expr.text.names import default_names, plain_names
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import number_text, to_c, to_numpy, to_text
from equate_srbench.expr.text.serial import dump, load
from equate_srbench.expr.tree import Tree

if TYPE_CHECKING:
    import sympy

    from equate_srbench.expr.text.torch_module import FormulaModule


class Equation:
    """A formula over named columns.

    Parameters
    ----------
    tree : Tree
        With finite constants.
    feature_names : sequence of str, optional
        One name per column of the table, in order; any text. Default ``x_0, x_1, ...`` for the
        columns that the formula uses.
    covariance : array-like of shape (n_constants, n_constants), optional
        Covariance of the constants, in the tree's order.
    metrics : mapping of str to number, optional
        Scores to keep with the formula (``r2``, ``loss``, ...).

    Raises
    ------
    FormulaError
        For an incomplete tree, a constant that is not finite, or a column without a name.

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

    __slots__ = ("_covariance", "_feature_names", "_metrics", "_named", "_tree")

    def __init__(
        self,
        tree: Tree,
        feature_names: Sequence[str] | None = None,
        *,
        covariance: ArrayLike | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        if not tree.is_valid():
            raise FormulaError(f"{tree.symbols} is not one complete formula")
        for value in tree.constants:
            number_text(value)  # refuses NaN and infinities
        used = max(tree.columns, default=-1) + 1
        self._named = feature_names is not None
        names = default_names(used) if feature_names is None else tuple(map(str, feature_names))
        if used > len(names):
            raise FormulaError(f"the formula uses column {used - 1}, but {len(names)} have names")
        self._tree = tree
        self._feature_names = names
        self._metrics = dict(metrics or {})
        self._covariance: NDArray[np.float64] | None = None
        if covariance is not None:
            n = len(tree.constants)
            self._covariance = np.array(covariance, dtype=np.float64)
            if not n and not self._covariance.size:  # JSON has one empty list for all shapes
                self._covariance = np.empty((0, 0))
            if self._covariance.shape != (n, n):
                raise ValueError(f"covariance of shape {self._covariance.shape}, expected {(n, n)}")

    # -- reading ----------------------------------------------------------------------------

    @property
    def tree(self) -> Tree:
        """The formula over column numbers."""
        return self._tree

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Column names as given."""
        return self._feature_names

    @property
    def text_names(self) -> dict[str, str]:
        """Identifier in the text -> column name, for every column; they differ for awkward ones."""
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
        """Nodes that SymPy makes of the text: SRBench's model size (see ``expr.complexity``)."""
        return complexity(self._tree)

    @property
    def constants(self) -> tuple[float, ...]:
        """Values of the constants in the tree's order."""
        return self._tree.constants

    @property
    def standard_errors(self) -> tuple[float, ...] | None:
        """Standard errors of the constants; None without a covariance, NaN if undetermined."""
        if self._covariance is None:
            return None
        with np.errstate(invalid="ignore"):
            return tuple(np.sqrt(np.diag(self._covariance)).tolist())

    @property
    def covariance(self) -> NDArray[np.float64] | None:
        """Copy of the covariance of the constants."""
        return None if self._covariance is None else self._covariance.copy()

    @property
    def metrics(self) -> dict[str, float]:
        """Copy of the scores kept with the formula."""
        return dict(self._metrics)

    # -- computing --------------------------------------------------------------------------

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Values of the formula.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            A table with column names is read by name, whatever their order; anything else by
            position.

        Returns
        -------
        ndarray of shape (n_rows,)
            NaN or inf where the formula is not defined; nothing is patched.

        Raises
        ------
        ValueError
            For missing columns or another number of columns.
        """
        return evaluate(self._tree, self._table(X))

    def _table(self, X: Any) -> NDArray[np.float64]:
        return read_table(X, self._feature_names, self._tree.columns, named=self._named)

    def fit_constants(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Equation:
        """A copy with least-squares constants, their covariance, and ``loss`` and ``r2``.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), optional

        Raises
        ------
        ValueError
            If the formula is not defined on every row, or lengths differ.
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
        variance = float(np.average((target - np.average(target, weights=weights)) ** 2,
                                    weights=weights))  # fmt: skip
        metrics = {"loss": fit.loss}
        if variance > 0.0:
            metrics["r2"] = 1.0 - fit.loss / variance
        return Equation(fit.tree, self._feature_names, covariance=fit.covariance, metrics=metrics)

    def derivative(self, name: str) -> Equation:
        """Partial derivative by column ``name``, simplified by SymPy's own rules.

        Raises
        ------
        ValueError
            For an unknown column.
        """
        from equate_srbench.expr.algebra.rewrite import rewrite
        from equate_srbench.expr.sympy.bridge import from_sympy, to_sympy

        if name not in self._feature_names:
            raise ValueError(f"no column '{name}'; known are {', '.join(self._feature_names)}")
        symbols = self._symbols()
        slope = to_sympy(self._tree, symbols).diff(symbols[self._feature_names.index(name)])
        tree = from_sympy(slope, {symbol: j for j, symbol in enumerate(symbols)})
        return Equation(rewrite(tree), self._feature_names)

    # -- other forms ------------------------------------------------------------------------

    def __str__(self) -> str:
        return to_text(self._tree, plain_names(self._feature_names))

    def to_sympy(self) -> sympy.Expr:
        """SymPy expression over real symbols that bear the column names."""
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
        from equate_srbench.expr.text.torch_module import FormulaModule

        return FormulaModule(self._tree)

    # -- JSON -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text that ``from_json`` reads back bitwise."""
        return dump(
            self._tree,
            text=str(self),
            feature_names=self._feature_names if self._named else None,
            covariance=self._covariance,
            metrics=self._metrics,
        )

    @classmethod
    def from_json(cls, text: str) -> Equation:
        """The equation written by ``to_json``.

        Raises
        ------
        FormulaError
            For anything else, or a version that is newer than this package.
        """
        tree, names, rest = load(text)
        try:
            return cls(tree, names, **rest)
        except ValueError as error:
            raise FormulaError(f"damaged equation: {error}") from None

    @classmethod
    def from_string(cls, text: str, feature_names: Sequence[str] | None = None) -> Equation:
        """The equation written in ``text`` (see ``parser.parse``).

        Parameters
        ----------
        text : str
            Columns by name; awkward names in backticks (`` `x 1` ``) or as ``str`` prints them.
        feature_names : sequence of str, optional
            Columns of the table. Default: ``x_0, x_1, ...``.
        """
        if feature_names is None:
            indices = [int(n) for n in re.findall(r"\bx_(\d{1,4})\b", text)]
            return cls(parse(text, default_names(max(indices, default=-1) + 1)))
        names = tuple(map(str, feature_names))
        plain = plain_names(names)

        def unquoted(match: re.Match[str]) -> str:
            if match[1] not in names:
                raise FormulaError(f"no column `{match[1]}`; known are {', '.join(names)}")
            return plain[names.index(match[1])]

        return cls(parse(re.sub(r"`([^`]*)`", unquoted, text), plain), names)

    # -- protocol ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"Equation({str(self)!r})"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # never text/html: JupyterLab prefers it to LaTeX and would not typeset the formula
        return {"text/plain": str(self), "text/latex": self._repr_latex_()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equation):
            return NotImplemented
        return self._tree == other._tree and self._feature_names == other._feature_names

    def __hash__(self) -> int:
        return hash((self._tree, self._feature_names))
