"""Tolerances of the fit of constants, shared by the compiled kernel and the torch backend."""

#: A loss (relative to ``y``) below this is rounding: stop.
EXACT = 1e-28
#: Relative change of the loss that counts as converged.
SMALL_GAIN = 1e-12
#: Squared spread over squared mean below which values are all the same but for rounding (a fit that
#: cancels ten digits keeps six).
CONSTANT_SPREAD = 1e-20
#: Squared share of a derivative left beside scale and offset that is only rounding.
DEPENDENT = 1e-20
#: Squared norms outside this range are rescaled before they are used.
TINY, HUGE = 1e-200, 1e200
#: Levenberg-Marquardt's damping of unit columns: at the start, least, and where a start gives up.
DAMPING, DAMPING_MIN, DAMPING_MAX = 1e-1, 1e-12, 1e8
#: Damping is multiplied by GOOD when a step saves GOOD_SHARE of what the linear model promised,
#: by POOR when it saves less than POOR_SHARE, by BAD when it saves nothing.
GOOD, GOOD_SHARE, POOR, POOR_SHARE, BAD = 0.1, 0.75, 3.0, 0.25, 30.0
#: Share of the rows without a derivative by a constant above which the constant is held.
MISSING = 0.1
