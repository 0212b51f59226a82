"""Units of voltage, as recorders write them."""

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "nv": 1e-3}  # in microvolts
WORDS = {  # in English and shortened, then in Romance, Germanic, Slavic and East Asian languages
    "volt": "v", "millivolt": "mv", "microvolt": "uv", "nanovolt": "nv",
    "mvolt": "mv", "uvolt": "uv", "microv": "uv", "muv": "uv",
    "voltio": "v", "milivoltio": "mv", "microvoltio": "uv", "milivolt": "mv", "mikrovolt": "uv",
    "\u0432": "v", "\u043c\u0432": "mv", "\u043c\u043a\u0432": "uv",
    "\u4f0f": "v", "\u6beb\u4f0f": "mv", "\u5fae\u4f0f": "uv",
    "\u30dc\u30eb\u30c8": "v", "\u30df\u30ea\u30dc\u30eb\u30c8": "mv",
    "\u30de\u30a4\u30af\u30ed\u30dc\u30eb\u30c8": "uv",
    "\ubcfc\ud2b8": "v", "\ubc00\ub9ac\ubcfc\ud2b8": "mv", "\ub9c8\uc774\ud06c\ub85c\ubcfc\ud2b8": "uv",
}  # fmt: skip
# Case-folded: the micro sign and the Greek letter are one; then either in UTF-8 that was read as Latin-1.
MICRO = ("\u03bc", "\u00e2\u03bc", "\u00ee\u00bc")


def microvolts(unit: str) -> float | None:
    """How many microvolts one `unit` is ("mV", "uV", "Volt"; case does not count), None for no voltage."""
    name = unit.replace("\0", " ").strip(" []()").casefold()
    for micro in reversed(MICRO):
        name = name.replace(micro, "u")
    return UNITS.get(WORDS.get(name.removesuffix("s"), name))
