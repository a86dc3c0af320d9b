"""Numbers needed to harm and to benefit, with intervals that stay honest when harm and benefit are both possible.

The number needed is the reciprocal of a risk difference. When the interval of the difference contains 0, the
reciprocals of its ends do not enclose anything: the number needed runs from a harm through infinity to a benefit.
Altman (1998) writes it so, and so does this module. The event is bad (bleeding): a positive difference is harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_INFINITE = "∞"


@dataclass(frozen=True, slots=True)
class NumberNeeded:
    """A risk difference with its interval, shown as a number needed to harm (NNH) or to benefit (NNB).

    Parameters
    ----------
    risk_difference
        Treated minus untreated risk of a bad event, a probability; positive = harm.
    lower, upper
        Its interval.

    Raises
    ------
    ValueError
        If a number is no risk difference, or the interval does not enclose the estimate.

    References
    ----------
    Altman DG (1998). Confidence intervals for the number needed to treat. BMJ 317:1309-1312.
    """

    risk_difference: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not -1.0 <= value <= 1.0:
                raise ValueError(f"{name} must be a difference of probabilities, from -1 to 1, not {value!r}")
        if not self.lower <= self.risk_difference <= self.upper:
            raise ValueError(
                f"the interval from {self.lower!r} to {self.upper!r} must enclose the risk difference "
                f"{self.risk_difference!r}: hand over estimate, lower and upper end in this order"
            )

    @property
    def one_sided(self) -> bool:
        """Whether the interval lies on one side of zero, so that the number needed has an ordinary interval."""
        return self.lower > 0.0 or self.upper < 0.0

    def interval_text(self) -> str:
        """The interval as numbers needed: through infinity if both harm and benefit are possible."""
        ends = [number_needed_text(end) for end in (self.lower, self.upper)]
        if self.one_sided:
            # The end nearer to zero is the larger number; the smaller number is written first.
            return " to ".join(reversed(ends) if self.lower > 0.0 else ends)
        return " to ".join(dict.fromkeys([ends[0], _INFINITE, ends[1]]))

    def __str__(self) -> str:
        """The number needed with its interval, ``NNH 83 (NNB 500 to ∞ to NNH 40)``."""
        return f"{number_needed_text(self.risk_difference)} ({self.interval_text()})"


def number_needed_text(risk_difference: float) -> str:
    """Say how many patients are treated for one more bleed (``NNH 83``) or one fewer (``NNB 120``).

    Rounded up to the next whole patient, as Altman (1998) does; ``∞`` for no difference at all.
    """
    if risk_difference == 0.0:
        return _INFINITE
    # Rounding first undoes noise in the last bits: 1 / 0.02 must give 50 patients and not 51.
    count = math.ceil(round(1.0 / abs(risk_difference), 9))
    return f"{'NNH' if risk_difference > 0.0 else 'NNB'} {count}"
