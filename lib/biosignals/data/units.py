"""Units of voltage, as recorders write them."""

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "nv": 1e-3}  # in microvolts
WORDS = {"volt": "v", "millivolt": "mv", "microvolt": "uv", "nanovolt": "nv"}
# Case-folded: the micro sign and the Greek letter are one; then either in UTF-8 that was read as Latin-1.
MICRO = ("\u03bc", "\u00e2\u03bc", "\u00ee\u00bc")


def microvolts(unit: str) -> float | None:
    """How many microvolts one `unit` is ("mV", "uV", "Volt"; case does not count), None for no voltage."""
    name = unit.replace("\0", " ").strip().casefold()
    for micro in reversed(MICRO):
        name = name.replace(micro, "u")
    return UNITS.get(WORDS.get(name.removesuffix("s"), name))
