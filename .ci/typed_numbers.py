"""Which numbers may stand in prose although no computation put them there, each with its reason.

A number that a reader sees is held by the ledger or by the replay (whatever a cell or {eval} shows), or it is one of
these.
"""

from __future__ import annotations

import re

CONVENTIONS = {
    r"[01]|[−-]1|±1": "no effect (log odds ratio or difference 0, ratio 1), slope if right, codes of yes and no",
    r"1\.96": "97.5 % point of the standard normal distribution",
    r"1\.01": "limit of R-hat (Vehtari et al. 2021)",
    r"1\.[12]": "limits of the PSRF in older use",
    r"0\.3": "limit of E-BFMI",
    r"0\.7": "limit of Pareto's k",
    r"0\.1": "usual alarm for a standardised difference; p below 0.1",
    r"0\.5": "no discrimination (AUC); no effect (probability of a log odds of zero)",
    r"0\.05": "level of a test",
}
"""Numbers that may stand anywhere."""

FORMS = {
    r"\bACTG 175\b": "name of a trial",
    r"adds 3 bleeds in 100, it should add about 3\b": "an example",
    r"\([0-9]{1,2}\)": "number of an equation",
    r"^\s*(?:#+ \w+ )?\d{1,2}\. ": "number of a chapter, item of a numbered list",
    r"\b(?:[Cc]hapters?|[Ss]ections?|[Tt]ables?|[Ff]ig(?:ure|\.)s?|[Ee]quations?|[Ll]istings?|[Ll]ines?|[Ii]tems?) "
    r"\d+(?:\.\d+)*(?:(?:,? and |, | to |–|-)\d+(?:\.\d+)*)*": "reference",
    r"\b(?:R|Python|PyMC|JAGS|Stan|rstan|Debian) \d+(?:\.\d+)*": "version",
    r"\b(?:19[5-9]\d|200[1-9]|20[1-3]\d)\b": "year",
    r"\b(?:5|50|80|90|95|99) ?%": "level of an interval or a test; power; a share asked for",
    r"\b(?:90|95)(?: times)? (?:in|of) 100\b|\b(?:5|50|95)th\b": "what such a level means",
    r"\b(?:per|in|of|to|at) 100 ?(?:per cent)?\b(?! (?:patients|trials) )|\bper 1000\b": "scale of a rate",
    r"\b2000(?= (?:\w+ )?(?:patients|trials of the method|replicated)| of the trial|\.|, under)": "size of the trial",
    r"\b(?:default is |3 × )?1000(?= (?:patients|draws|kept|new|simulated|effective))": "defaults; the paper's draws",
    r"\b3 ×": "chains of the paper",
    r"\b3000\b(?= draws|\)|\.| kept)": "draws that the paper kept",
    r"\b(?:4 chains of 5000|first 1000) draws": "draws of the book's posterior",
    r"(?<=beyond )2\b|(?<=dashed line at )2\b|(?<=within )2\b": "the paper's criterion for a Geweke z",
    r"(?:\b(?:[Aa]ges?|at|[Aa]bove|[Bb]elow|than|from|BMI|between|exactly|and|of|or|systolic|diastolic)|≥|made\*?) "
    r"(?:≥ )?(?:16|25|30|50|60|65|85|90|140)\b(?!\.\d| ?%| per cent| trials)": "limits of the paper's covariates",
    r"SBP ≥ 140|DBP ≥ 90": "Table 2",
    r"\bby 1, 2, 3, \.\.\.": "counting",
    r"(?<=below )10 %|(?<=less than )10 %": "a limit that is asked about",
    r"[Aa]t 2 %|\bat 20 %|\b(?:500|5000)(?= patients)|[Ww]ith 5000": "scenarios of the study",
    r"\b14 dimensions|\ball 18 quantities|\bwhat 36 independent": "sums and quantities of Listing 2, scores of Table 6",
    r"\b250 re-randomisations|\b20 trials each|\btrials of 200 patients": "runs of a cell or a stored check",
    r"precisions set to 4": "what the paper's hyperpriors are set to in an experiment",
    r"\| [0-9]C? ": "steps of a published guideline, numbered as there",
    r"\b400(?= (?:patients|intervals))": "patients of a fifth of the trial",
}
"""Numbers that may stand in these words; the rest of a sentence is checked."""

_NUMBER = re.compile(r"(?<![\w.])[−+±-]?(?:\d{1,3}(?:[\u00a0,]\d{3})+|\d+)(?:\.\d+)?(?!\w|\.\d)")


def unheld_numbers(text: str) -> list[str]:
    """List the numbers of a prose text that no reason holds, each with the words around it."""
    # Lines of a paragraph are joined; list items and rows of a table stay lines.
    masked = text = re.sub(r"[ \t]+|\u00a0(?=%)", " ", re.sub(r"\n(?!\s*(?:\d\. |\||[-*] ))", " ", text))
    for form in FORMS:
        masked = re.sub(form, lambda found: "·" * len(found.group()), masked, flags=re.MULTILINE)
    return [
        f"{found.group()} in: {text[max(0, found.start() - 40) : found.end() + 20]}"
        for found in _NUMBER.finditer(masked)
        if not any(re.fullmatch(allowed, found.group()) for allowed in CONVENTIONS)
    ]


def count_numbers(text: str) -> int:
    """How many numbers a text holds."""
    return len(_NUMBER.findall(text))
