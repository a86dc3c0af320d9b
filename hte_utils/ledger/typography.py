"""How numbers are set on the pages: "5.65 %", a real minus sign, spaces between thousands from five digits on.

Chapters format numbers as Python does; the book's Sphinx extension sets the finished text with :func:`set_numbers`.
"""

from __future__ import annotations

import re

NO_BREAK_SPACE = "\u00a0"
MINUS = "\u2212"

_SIGN = re.compile(r"(?<![^\s(\[|±=<>≤≥×,;:/])-(?=\.?\d)")
_NEGATIVE_ZERO = re.compile(r"(?<![^\s(\[|±=<>≤≥×,;:/])[-\u2212](?=0(?:\.0+)?(?![\d.]\d|\d))")
_PERCENT = re.compile(r"(?<=\d)\s?%")
_COMMAS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?=(?:\.\d+)?(?!\w|,\d|\.\w))")
_LONG = re.compile(r"(?<![\w.,\-/])\d{5,}(?=(?:\.\d+)?(?![\w/]|,\d|\.\w))")
_NAME = re.compile(r"(?!(?:b|re|tau|sigma|te_gender|Chain)_)[a-z]+(?:_[a-z0-9]+)*")  # but for the model's own names
_ABBREVIATIONS = {
    **{name: name.upper() for name in ("bmi", "dbp", "ess", "mae", "mcse", "nuts", "rmse", "sbp", "sd", "se", "te")},
    "lor": "log odds ratio",
    "p_value": "p-value",
    "r_hat": "R-hat",
    "rd": "risk difference",
}
_QUOTATION = re.compile(r"(\"[^\"]*\"|“[^”]*”)")


def set_numbers(text: str) -> str:
    """Set the numbers in a piece of running text, or in a cell of a table, in the style of the book.

    What stands between double quotes is somebody else's and is left as it is.
    """
    parts = _QUOTATION.split(text)
    return "".join(part if place % 2 else _set(part) for place, part in enumerate(parts))


def set_heading(name: str) -> str:
    """Return the name of a column or a row as a reader would write it; what is not a plain name is left as it is.

    Examples
    --------
    >>> set_heading("lor_rmse"), set_heading("calibration_slope"), set_heading("b_trt_age")
    ('log odds ratio RMSE', 'calibration slope', 'b_trt_age')
    """
    if not _NAME.fullmatch(name):
        return name
    words = [name] if name in _ABBREVIATIONS else name.split("_")
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


def _set(text: str) -> str:
    text = _SIGN.sub(MINUS, _NEGATIVE_ZERO.sub("", text))
    text = _PERCENT.sub(f"{NO_BREAK_SPACE}%", text)
    text = _COMMAS.sub(lambda found: found.group().replace(",", ""), text)
    return _LONG.sub(lambda found: f"{int(found.group()):,}".replace(",", NO_BREAK_SPACE), text)
