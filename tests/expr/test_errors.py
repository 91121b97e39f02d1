"""One error class for formulas."""

from equate_srbench.expr.errors import FormulaError


def test__formula_error__is_a_value_error():
    """Callers that know nothing of formulas can still catch it."""
    assert issubclass(FormulaError, ValueError)
