"""The words that may follow a number: units of measure, what things are counted in, and words that change the value.

A unit is dropped only if it is in these tables, or is a plain plural noun such as *apples*: any other word may change what is said.
"""

import re

UNITS: dict[str, str] = {
    word: unit
    for unit, words in {
        "m": "m metre metres meter meters 米", "cm": "cm centimetre centimetres centimeter centimeters 厘米",
        "mm": "mm millimetre millimetres millimeter millimeters 毫米",
        "km": "km kms kilometre kilometres kilometer kilometers 千米 公里",
        "dm": "dm decimetre decimetres decimeter decimeters 分米", "nm": "nm nanometre nanometres nanometer nanometers",
        "µm": "µm μm micron microns micrometre micrometres micrometer micrometers", "in": "in inch inches", "ft": "ft foot feet",
        "yd": "yd yard yards", "mi": "mi mile miles", "ly": "ly", "AU": "AU", "pc": "pc parsec parsecs",
        "Å": "Å angstrom angstroms",
        "g": "g gm gram grams gramme grammes 克", "kg": "kg kgs kilogram kilograms 千克 公斤", "mg": "mg milligram milligrams",
        "t": "t ton tons tonne tonnes 吨", "lb": "lb lbs pound pounds", "oz": "oz ounce ounces",
        "s": "s sec secs second seconds 秒", "ms": "ms millisecond milliseconds", "min": "min mins minute minutes 分钟",
        "h": "h hr hrs hour hours 小时", "d": "d day days 天", "week": "week weeks 周", "month": "month months 个月",
        "yr": "yr yrs year years 年", "L": "L l litre litres liter liters 升",
        "mL": "mL ml millilitre millilitres milliliter milliliters 毫升",
        "gal": "gal gallon gallons", "N": "N newton newtons", "J": "J joule joules", "kJ": "kJ kilojoule kilojoules",
        "W": "W watt watts",
        "kW": "kW kilowatt kilowatts", "MW": "MW", "Pa": "Pa pascal pascals", "kPa": "kPa", "MPa": "MPa", "atm": "atm",
        "V": "V volt volts", "mV": "mV", "kV": "kV", "A": "A amp amps ampere amperes", "mA": "mA", "C": "C coulomb coulombs",
        "Hz": "Hz hertz", "kHz": "kHz", "MHz": "MHz", "GHz": "GHz", "K": "K kelvin kelvins", "T": "T tesla teslas",
        "F": "F farad farads",
        "Ω": "Ω Ω Ohm ohm ohms Ohms \\Omega",
        "kΩ": "kΩ", "mol": "mol mole moles", "mmol": "mmol", "eV": "eV", "keV": "keV", "MeV": "MeV",
        "GeV": "GeV", "cal": "cal calorie calories", "kcal": "kcal", "erg": "erg ergs", "dyn": "dyn dyne dynes", "kWh": "kWh",
        "mph": "mph", "km/h": "kmph kmh kph", "acre": "acre acres", "ha": "ha hectare hectares",
        "deg": "deg degree degrees ° 度", "rad": "rad radian radians", "°C": "°C celsius ℃ 摄氏度", "°F": "°F fahrenheit",
        "$": "dollar dollars USD usd bucks", "¢": "cent cents", "€": "€ euro euros EUR", "£": "£ GBP",
        "¥": "¥ yuan RMB rmb 元 块 人民币",
        "₹": "₹ rupee rupees Rs rs INR", "yen": "yen JPY", "unit": "unit units 单位",
    }.items()
    for word in words.split()
}  # fmt: skip
"""Word -> the symbol under which a unit is compared."""

DIMENSION_WORDS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3, "平方": 2, "立方": 3}
"""Words before or after a unit of length that raise it to a power."""

LONE_LETTERS = frozenset({*"mgshLlNJWVAKT", "\\Omega"})
"""Units of one letter: letters like any other unless a space or ``\\text`` sets them off from their number."""

COUNTED = frozenset(
    [
        "people",
        "men",
        "women",
        "children",
        "sheep",
        "fish",
        "ways",
        "way",
        "times-tables",
        "mice",
        "geese",
        "teeth",
        "feet",
        "deer",
        "dice",
        "points",
        "students",
        "integers",
        "个",
        "人",
        "颗",
        "只",
        "条",
        "本",
        "张",
        "件",
        "枝",
        "支",
        "棵",
        "名",
        "位",
        "辆",
        "台",
        "次",
        "种",
        "块",
        "头",
        "朵",
        "瓶",
        "箱",
        "袋",
        "组",
        "岁",
        "页",
        "题",
        "场",
        "双",
        "把",
        "间",
        "座",
        "分",
        "倍",
        "盒",
        "根",
        "队",
        "层",
    ]
)
"""Words for what is counted that are no plural in -s."""

_MEANINGFUL = (
    "a an the is are was were be been am not no nor never none neither or and but if then else than more less least most "
    "fewer greater over under above below at about around approximately nearly almost between from to up down per of in on "
    "by for with without when where while since because as so this that these those it its his her their our your my any "
    "all each every some only even odd plus minus times divided multiplied squared cubed square cube power root half halves "
    "third thirds quarter quarters fourth fourths fifths sixths sevenths eighths ninths tenths hundredths thousandths "
    "percent percentage pct double triple twice thrice dozen dozens hundred hundreds thousand thousands million millions "
    "billion billions trillion trillions zero one two three four five six seven eight nine ten tens wrong correct incorrect "
    "false true right yes infinity infinite undefined pi tau factorial mod modulo base negative positive remainder rest "
    "exactly maximum minimum does exists unknown impossible solutions guess log ln sin cos tan exp sqrt left off others "
    "ones"
)
MEANINGFUL = frozenset(_MEANINGFUL.split())
"""Words that may change the value: they are never dropped."""

_FRACTION_WORDS = (
    "half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths "
    "ninth ninths tenth"
    "tenths hundredth hundredths thousandth thousandths millionth millionths"
)
FRACTION_WORDS = frozenset(_FRACTION_WORDS.split())
"""Words after a number that divide it; they are not read."""

MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "百": 10**2,
    "千": 10**3, "万": 10**4, "亿": 10**8,
}  # fmt: skip
"""Words after a number that multiply it."""


def unit_of(words: str) -> str | None:
    """The symbol of a unit written as text, such as ``square feet`` or ``m/s``; empty for counted things; None if it is neither."""
    words = words.strip().strip(".,").strip()
    if not words:
        return ""
    if (compound := _compound(words)) is not None:
        return compound
    if "\u3400" <= words[0] <= "\u9fff":
        return _chinese(words)
    parts = words.split()
    if (
        any(part.lower() in MEANINGFUL or not re.fullmatch(r"[^\W\d_][\w'-]*", part) for part in parts)
        or len(parts) > 3
        or len(set(parts)) < len(parts)
    ):
        return None
    last = parts[-1].lower()
    return "" if last in COUNTED or (len(last) > 2 and last.endswith("s") and last.isascii()) else None


def _chinese(words: str) -> str | None:
    """A Chinese unit such as 平方米, or a measure word with what is counted: 个苹果."""
    for prefix, power in (("平方", 2), ("立方", 3)):
        if words.startswith(prefix) and words[2:] in UNITS:
            return f"{UNITS[words[2:]]}^{power}"
    changes = any(character in MULTIPLIERS or character in "或和与多余几不到零一二三四五六七八九十半" for character in words[1:])
    return "" if words[0] in COUNTED and not changes and words[0] not in words[1:] else None


def _compound(words: str) -> str | None:
    """A unit of the table, powers and quotients of such units."""
    text = re.sub(r"\s+per\s+", "/", words)
    numerator, *denominators = (part.strip() for part in text.split("/"))
    symbols = [_power(part) for part in (numerator, *denominators)]
    return None if None in symbols else "/".join(filter(None, symbols))


def _power(words: str) -> str | None:
    """One unit with its power: ``cm^2``, ``square cm``, ``kg m``."""
    power, symbols = 1, []
    for word in re.sub(r"[·*⋅]", " ", words).split():
        if word.lower() in DIMENSION_WORDS:
            power = DIMENSION_WORDS[word.lower()]
            continue
        match = re.fullmatch(r"(.+?)(?:\^?\{?(-?[1-9])\}?)?", word)
        symbol = UNITS.get(match[1], UNITS.get(match[1].lower() if len(match[1]) > 1 else "")) if match else None
        if match is None or symbol is None:
            return None
        symbols.append(f"{symbol}^{match[2]}" if match[2] and match[2] != "1" else symbol)
    if not symbols or len(set(symbols)) < len(symbols):
        # A unit that is written twice is no unit: cm cm.
        return None
    return " ".join([*symbols[:-1], symbols[-1] if power == 1 else f"{symbols[-1]}^{power}"])


def dimensions(unit: str) -> dict[str, int]:
    """The powers of the symbols in a unit that ``unit_of`` returned: ``m/s^2`` and ``m s^-2`` are the same."""
    powers: dict[str, int] = {}
    text = unit.replace("mph", "mi/h")
    for position, part in enumerate(text.split("/")):
        for symbol in part.split():
            name, _, power = symbol.partition("^")
            powers[name] = powers.get(name, 0) + int(power or 1) * (-1 if position else 1)
    return {name: power for name, power in sorted(powers.items()) if power}
