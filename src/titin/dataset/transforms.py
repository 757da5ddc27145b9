"""The ways in which values are made of counts, as numba kernels: count / scale, or a logarithm of 1 + count / scale.

Which one is told by the natural logarithm of the base, ``log_unit``; ``LINEAR`` stands for no logarithm.
"""

import math

from titin.dataset.kinds import ValueKind
from titin.jit import kernel

LINEAR = 0.0
MAX_ULP = 4.0  # how far a value may lie from what its count gives, in float32 units in the last place


def log_unit_of(kind: ValueKind) -> float:
    """Natural logarithm of the base of the source's values; `LINEAR` where they are no logarithms."""
    return kind.log_unit if kind.is_log else LINEAR


@kernel
def forward(linear: float, log_unit: float) -> float:
    """Value of count / scale."""
    return math.log1p(linear) / log_unit if log_unit > 0.0 else linear


@kernel
def inverse(value: float, log_unit: float) -> float:
    """Count / scale of a value."""
    return math.expm1(value * log_unit) if log_unit > 0.0 else value


@kernel
def spacing(value: float) -> float:
    """Distance between neighbouring float32 at ``value`` (normal range)."""
    return math.ldexp(1.0, math.frexp(value)[1] - 24)


@kernel
def unit_at(value: float, linear: float, log_unit: float, coarse: bool) -> float:
    """A unit in the last place of a value; with ``coarse`` at least what one of 1 + ``linear`` changes in it."""
    unit: float = spacing(value)
    if coarse and log_unit > 0.0:
        unit = max(unit, spacing(1.0 + linear) / ((1.0 + linear) * log_unit))
    return unit


@kernel
def ulp_between(value: float, count: float, scale: float, log_unit: float, coarse: bool) -> float:
    """How far a value lies from what its count gives, in float32 units in the last place.

    With ``coarse`` of the value or of 1 + count / scale, whichever weighs more: log(1 + x) has rounded the sum, which
    log1p(x) has not.
    """
    linear = count / scale
    off: float = abs(forward(linear, log_unit) - value) / unit_at(value, linear, log_unit, coarse)
    return off
