"""The methods ladder: frequentist, machine-learning and Bayesian ways to individual treatment effects, one interface.

Nothing is fitted here, and no library imported: ``METHODS[name]`` knows its name, label and assumptions, and loads what
it needs when it is called.
"""

from __future__ import annotations

from hte_utils.methods.estimates import INTERVAL, EffectEstimates, IntervalEstimate, Method, MethodResult
from hte_utils.methods.registry import METHODS, RegisteredMethod

__all__ = [
    "INTERVAL",
    "METHODS",
    "EffectEstimates",
    "IntervalEstimate",
    "Method",
    "MethodResult",
    "RegisteredMethod",
]
