r"""The units that are known: name, dimension and size, and every spelling of them.

A dimension is a name or a product of powers of the base dimensions; sizes are exact in SI base units. Sources: the SI
brochure (9th edition) and the international yard and pound (1959).
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement, or a product of them."""

    dimension: tuple[tuple[str, int], ...]
    """Powers of the base dimensions, sorted by name; zero powers are left out."""

    size: Fraction
    """How many base units one of it is."""

    pi_power: int = 0
    """Power of pi by which the size is multiplied: a degree is pi/180."""

    offset: Fraction = Fraction(0)
    """Value of the scale's zero in base units: 0 °C is 273.15 K."""

    def to_the(self, power: int) -> "Unit":
        """Return this unit to an integer power."""
        dimension = tuple((name, exponent * power) for name, exponent in self.dimension if power)
        return Unit(dimension, self.size**power, self.pi_power * power, self.offset if power == 1 else Fraction(0))

    def times(self, other: "Unit") -> "Unit":
        """Return the product of two units; offsets of scales are dropped."""
        powers = Counter(dict(self.dimension))
        powers.update(dict(other.dimension))
        dimension = tuple(sorted((name, power) for name, power in powers.items() if power))
        return Unit(dimension, self.size * other.size, self.pi_power + other.pi_power)


# Symbol, size, dimension; those marked with * take SI prefixes.
_BASE = """
m* 1 length                |g* 1/1000 mass              |s* 1 time                   |A* 1 current
K* 1 temperature           |mol* 1 amount               |cd* 1 light                 |rad* 1 angle
Hz* 1 time^-1              |N* 1 mass length time^-2    |Pa* 1 mass length^-1 time^-2|J* 1 mass length^2 time^-2
W* 1 mass length^2 time^-3 |C* 1 current time           |V* 1 mass length^2 time^-3 current^-1
F* 1 mass^-1 length^-2 time^4 current^2                 |Ω* 1 mass length^2 time^-3 current^-2
S* 1 mass^-1 length^-2 time^3 current^2                 |Wb* 1 mass length^2 time^-2 current^-1
T* 1 mass time^-2 current^-1                            |H* 1 mass length^2 time^-2 current^-2
L* 1/1000 length^3         |t 1000 mass                 |lm 1 light                  |lx 1 light length^-2
Bq* 1 time^-1              |Gy* 1 length^2 time^-2      |eV* 1602176634/10000000000000000000000000000 mass length^2 time^-2
Wh* 3600 mass length^2 time^-2                          |cal* 4184/1000 mass length^2 time^-2
bar* 100000 mass length^-1 time^-2                      |atm 101325 mass length^-1 time^-2
min 60 time                |h 3600 time                 |day 86400 time              |week 604800 time
month 1 month              |year 12 month               |ha 10000 length^2           |acre 40468564224/10000000 length^2
in 254/10000 length        |ft 3048/10000 length        |yd 9144/10000 length        |mi 1609344/1000 length
nmi 1852 length            |mph 44704/100000 length time^-1                          |kn 1852/3600 length time^-1
oz 28349523125/1000000000000 mass                       |lb 45359237/100000000 mass  |gal 3785411784/1000000000000 length^3
rpm 1/60 revolution time^-1|rev 1 revolution            |dB 1 decibel                |B* 1 byte
bit* 1 bit                 |px 1 pixel                  |mmHg 133322387415/1000000000 mass length^-1 time^-2
USD 1 USD                  |cent 1/100 USD              |EUR 1 EUR                   |GBP 1 GBP
CNY 1 CNY                  |jiao 1/10 CNY               |fen 1/100 CNY               |INR 1 INR
pence 1/100 GBP
亩 2000/3 length^2         |Å 1/10000000000 length      |M* 1000 amount length^-3
"""
_PREFIXES = {
    "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3, "μ": -6, "n": -9, "p": -12,
    "f": -15,
}  # fmt: skip
_LONG_PREFIXES = {
    "peta": "P", "tera": "T", "giga": "G", "mega": "M", "kilo": "k", "hecto": "h", "deca": "da", "deci": "d",
    "centi": "c", "milli": "m", "micro": "μ", "nano": "n", "pico": "p", "femto": "f",
}  # fmt: skip
# A symbol, then words for it, whose case does not matter. Those of one group take the long prefixes.
_NAMES = """
m meter meters metre metres|g gram grams gramme grammes|s second seconds|A ampere amperes amp amps|K kelvin kelvins
mol mole moles|cd candela|rad radian radians|Hz hertz|N newton newtons|Pa pascal pascals|J joule joules|W watt watts
C coulomb coulombs|V volt volts|F farad farads|Ω ohm ohms|S siemens|Wb weber webers|T tesla teslas|H henry henries
L liter liters litre litres|eV electronvolt electronvolts|cal calorie calories|bar bars|bit bits|B byte bytes
"""
_OTHER_NAMES = """
s sec secs|min minute minutes mins|h hour hours hr hrs|day days|week weeks|month months|year years yr yrs
in inch inches|ft foot feet|yd yard yards|mi mile miles|nmi|kn knot knots|acre acres|ha hectare hectares
oz ounce ounces|lb lbs pound pounds|gal gallon gallons|t tonne tonnes|mph|rpm|rev revolution revolutions
dB decibel decibels|px pixel pixels|atm atmosphere atmospheres|USD dollar dollars usd|cent cents|EUR euro euros eur
pence penny|GBP sterling|CNY yuan cny rmb|INR rupee rupees rs inr
"""
_CHINESE = """
mm 毫米|cm 厘米 公分|dm 分米|m 米 公尺|km 千米 公里|μm 微米|nm 纳米|g 克|kg 千克 公斤|mg 毫克|t 吨|L 升|mL 毫升|s 秒 秒钟|ms 毫秒
min 分钟|h 小时 时|day 天 日|week 周 星期|month 个月|year 年|N 牛 牛顿|J 焦 焦耳|kJ 千焦|W 瓦 瓦特|kW 千瓦|V 伏 伏特|A 安 安培
Ω 欧 欧姆|Pa 帕 帕斯卡|kPa 千帕|Hz 赫兹|C 库仑|T 特斯拉|K 开尔文|mol 摩尔|kWh 千瓦时|ha 公顷|亩|CNY 元 块|jiao 角|USD 美元
EUR 欧元|GBP 英镑|in 英寸|ft 英尺|mi 英里|° 度|°C 摄氏度|rad 弧度
"""
# Spellings in the wrong case that can mean only one unit.
_SLOPPY = {
    "Kg": "kg", "KG": "kg", "Km": "km", "KM": "km", "Cm": "cm", "CM": "cm", "Hr": "h", "hz": "Hz", "pa": "Pa",
    "KPa": "kPa", "kpa": "kPa", "kw": "kW", "KW": "kW", "kj": "kJ", "KJ": "kJ", "kv": "kV", "KV": "kV", "Ft": "ft",
    "Kmh": "kmh", "KHz": "kHz", "khz": "kHz", "kwh": "kWh", "KWh": "kWh", "Sec": "s", "Min": "min",
}  # fmt: skip


def _tables() -> tuple[dict[str, Unit], dict[str, Unit]]:
    """Return the units by symbol, whose case matters, and by word in small letters."""
    symbols, prefixable = _base_units()
    words: dict[str, Unit] = {}
    for symbol in prefixable:
        for prefix, power in _PREFIXES.items():
            # "cd" is candela and "min" a minute before they are centi-days and milli-inches.
            symbols.setdefault(prefix + symbol, _scaled(symbols[symbol], power))
    for symbol, *names in _lines(_NAMES):
        for name in names:
            words[name] = symbols[symbol]
            words |= {long + name: _scaled(symbols[symbol], _PREFIXES[short]) for long, short in _LONG_PREFIXES.items()}
    symbols |= {
        "°": Unit((("angle", 1),), Fraction(1, 180), pi_power=1),
        "°C": Unit((("temperature", 1),), Fraction(1), offset=Fraction("273.15")),
        "°F": Unit((("temperature", 1),), Fraction(5, 9), offset=Fraction("459.67") * Fraction(5, 9)),
        "l": symbols["L"], "ml": symbols["mL"], "dl": symbols["dL"], "cc": symbols["m"].to_the(3).times(_number(-6)),
        "yuan": symbols["CNY"], "sec": symbols["s"], "hr": symbols["h"], "d": symbols["day"], "kmh": _speed(symbols),
        "kph": _speed(symbols), "kmph": _speed(symbols), "mps": symbols["m"].times(symbols["s"].to_the(-1)),
        "um": symbols["μm"], "us": symbols["μs"], "ug": symbols["μg"], "uA": symbols["μA"], "uF": symbols["μF"],
        "uC": symbols["μC"], "cal": symbols["cal"], "Cal": symbols["kcal"], "deg": Unit((("angle", 1),), Fraction(1, 180), 1),
    }  # fmt: skip
    symbols |= {sloppy: symbols[right] for sloppy, right in _SLOPPY.items()}
    for symbol, *names in (*_lines(_OTHER_NAMES), *_lines(_CHINESE)):
        words |= dict.fromkeys((name.lower() for name in names), symbols[symbol])
    words |= dict.fromkeys(("degree", "degrees"), symbols["°"]) | {"celsius": symbols["°C"]}
    return symbols, words


def _base_units() -> tuple[dict[str, Unit], list[str]]:
    symbols: dict[str, Unit] = {}
    prefixable: list[str] = []
    for entry in (entry.split() for line in _BASE.strip().splitlines() for entry in line.split("|")):
        name, size, *dimensions = entry
        symbol = name.removesuffix("*")
        powers = [(part.split("^")[0], int(part.split("^")[1]) if "^" in part else 1) for part in dimensions]
        symbols[symbol] = Unit(tuple(sorted(powers)), Fraction(size))
        prefixable += [symbol] if name.endswith("*") else []
    return symbols, prefixable


def _lines(table: str) -> list[list[str]]:
    return [entry.split() for line in table.strip().splitlines() for entry in line.split("|")]


def _number(power_of_ten: int) -> Unit:
    return Unit((), Fraction(10) ** power_of_ten)


def _scaled(unit: Unit, power_of_ten: int) -> Unit:
    return unit.times(_number(power_of_ten))


def _speed(symbols: dict[str, Unit]) -> Unit:
    return symbols["km"].times(symbols["h"].to_the(-1))


SYMBOLS, WORDS = _tables()
"""Units by symbol, whose case matters, and by word in small letters."""

CURRENCY_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY", "₹": "INR"}
