"""What channels are called, and what is meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")  # in their usual order
# The other four limb leads, as shares of I and II (Einthoven 1913, Goldberger 1942).
DERIVED = {"iii": (-1.0, 1.0), "avr": (-0.5, -0.5), "avl": (1.0, -0.5), "avf": (-0.5, 1.0)}
SYNONYMS = {  # MIT-BIH's modified limb leads (MLII, from the trunk) count as those that they stand for
    "di": "i", "dii": "ii", "diii": "iii", "d1": "i", "d2": "ii", "d3": "iii",
    "mli": "i", "mlii": "ii", "mliii": "iii", "ml1": "i", "ml2": "ii", "ml3": "iii",
}  # fmt: skip
ECG = r"(?:mdc_)?(?:ecg|ekg)|electrocardiogra(?:m|phy)"
LEAD = (
    r"lead|einthoven|abl\.|ableitung|d[eé]rivation|derivaci[oó]n|derivazione|deriva[cç][aã]o"
    r"|afleiding|avledning"
)
# A dash behind a blank and before the lead is a sign: "ECG -aVR" is aVR upside down.
BEFORE_A_LEAD = re.compile(rf"(?:(?:{ECG})[\s_:.(\[-]*)?(?:(?:{LEAD})[\s_:.-]*)?(?<!\s-)")
SOME_LEAD = re.compile(
    rf"(?:{ECG}|{LEAD})(?:[\s_:.-]*(?:lead|channel|chan|ch|signal|raw|value|data|voltage))?[\s_:.#-]*\d*"
)
FURTHER = re.compile(r"(?:[2-9]|[1-9]\d+)$")


def canonical(name: str) -> str:
    """A channel's name as others of the same channel have it, too, in lower case.

    The twelve leads are i to v6, however written ("ECG I", "Lead I", "EKG-I", "DI", "MLII"). Others come
    without "EEG " and "-Ref".
    """
    name = _cleaned(name)
    bare = BEFORE_A_LEAD.sub("", name, count=1).rstrip(")]")
    bare = SYNONYMS.get(bare, bare)
    return bare if bare.upper() in LEADS else name


def is_some_lead(name: str) -> bool:
    """Whether a channel is a lead of an ECG of which its name does not say which ("ECG", "EKG", "ECG1")."""
    return SOME_LEAD.fullmatch(_cleaned(name)) is not None


def is_further_lead(name: str) -> bool:
    """Whether the number of such a channel says that it is not the first ("ECG2", "Lead 2")."""
    return is_some_lead(name) and FURTHER.search(_cleaned(name)) is not None


def _cleaned(name: str) -> str:
    # Some programs number repeats from "-0" on: that one is the first.
    return name.strip().casefold().removeprefix("eeg ").removesuffix("-ref").removesuffix("-0")


def channel_names(labels: Iterable[str]) -> list[str]:
    """Names to find channels by: lower case, without "EEG " and "-Ref"; a repeated one gets "-1", "-2"."""
    seen, names = Counter(), []
    for name in map(_cleaned, labels):
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names
