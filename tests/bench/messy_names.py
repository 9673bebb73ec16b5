"""A seed -> names of companies as ODIN has them, the same as people typed them into a PSA, and which belongs to which.

Written before the scorer that is judged by it, from what such lists show: legal forms that come and go, abbreviations, typing
errors, umlauts written out or lost, words in another order, a branch or a remark behind the name, names cut at 50 characters, one
company entered twice, and different companies that differ in one word or in a place only.
"""
# ruff: noqa: SIM905 lists of words read better as text

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

LONGEST = 50
_SURNAMES = (
    "Hall Meyer Müller Schmidt Fischer Weber Wagner Becker Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz "
    "Zimmermann Braun Krüger Hofmann Hartmann Lange Krause Lehmann Köhler Maier König Walter Huber Kaiser Fuchs Peters Möller "
    "Weiß Jung Hahn Vogel Friedrich Keller Günther Frank Berger Winkler Roth Beck Lorenz Baumann Franke Albrecht Schuster Böhm "
    "Smith Johnson Brown Taylor Anderson Thomas Jackson White Harris Martin Thompson Garcia Robinson Clark Lewis Walker Young "
    "Allen King Wright Scott Green Baker Adams Nelson Carter Mitchell Perez Roberts Turner Phillips Campbell Parker Evans "
    "Edwards Collins Stewart Sanchez Morris Rogers Reed Cook Morgan Bell Murphy Bailey Rivera Cooper Richardson Cox Howard Ward "
    "Lefèvre Dubois Moreau Laurent Girard Bonnet Rousseau Fontaine Chevalier Gauthier Perrin Blanchard Åkesson Lindström "
    "Sjöberg Nyström Söderberg Bergström Jørgensen Sørensen Kjær Nygård O'Brien O'Connor McCarthy Byrne Novák Dvořák Černý "
    "Kowalski Wiśniewski Wójcik Szymański Ferrari Bianchi Romano Colombo Ricci Conti Núñez Gómez Fernández Muñoz"
).split()
_PLACES = (
    "Berlin Hamburg München Köln Frankfurt Stuttgart Düsseldorf Leipzig Dresden Hannover Nürnberg Bremen Kiel Lübeck Rostock "
    "Zürich Bern Basel Genève Wien Graz Linz Salzburg Lyon Marseille Toulouse Nantes Bordeaux Lille Malmö Göteborg Aarhus Odense "
    "London Leeds Bristol Glasgow Dublin Cork Austin Dallas Denver Boston Seattle Portland Phoenix Tampa Oslo Bergen Praha Brno "
    "Kraków Gdańsk Milano Torino Bologna Sevilla Valencia Granada Nord Süd West Ost Central Upper Lower New Old Grand"
).split()
_COINED = (
    "Nova Alpha Delta Omega Vertex Apex Zenith Quanta Lumen Solaris Aero Terra Aqua Ignis Viva Prima Optima Inno Digi Tele Medi "
    "Agro Bio Eco Geo Helio Hydro Logi Mecha Nano Opti Pharma Poly Pro Quadra Robo Sano Tecto Trans Uni Vario Wave Xeno Zeta"
).split()
_ENDINGS = (
    "tec soft net line data form plan systems works lab med care tron via gen flex port cast mark press dent".split()
)
_TRADES = (
    "Transportation|Construction|Consulting|Engineering|Manufacturing|Services|Solutions|Technologies|Logistics|Insurance|"
    "Properties|Development|Management|Marketing|Communications|Electronics|Pharmaceuticals|Foods|Farms|Dental|Veterinary Clinic|"
    "Law Office|Accounting|Architects|Plumbing|Roofing|Landscaping|Furniture|Printing|Publishing|Brewery|Bakery|Travel|Motors|"
    "Maschinenbau|Elektrotechnik|Steuerberatung|Apotheke|Spedition|Bauunternehmung|Immobilien|Versicherungsmakler|Gartenbau|"
    "Metallbau|Tischlerei|Zahnarztpraxis|Rechtsanwälte|Ingenieurbüro|Wohnungsgesellschaft|Gebäudereinigung|Großhandel|"
    "Architectes|Menuiserie|Boulangerie|Assurances|Transports|Conseil|Bygg|Fastigheter|Rådgivning|Construcciones|Servizi"
).split("|")
_LEGAL = (
    "GmbH|GmbH & Co. KG|AG|KG|e.K.|UG (haftungsbeschränkt)|SE|Ltd|Ltd.|Limited|PLC|LLC|L.L.C.|Inc|Inc.|Incorporated|Corp.|"
    "Corporation|Co.|S.A.|SARL|SAS|S.r.l.|S.p.A.|AB|A/S|ApS|AS|Oy|B.V.|N.V.|s.r.o.|Sp. z o.o.|S.L.|Pty Ltd"
).split("|")
_REMARKS = ("(old)", "- managed", "*NEW*", "c/o J. Smith", "HQ", "[MSA]", "- do not use", "Branch", "(cloud)")
_FOLDED = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"}
_PLAIN = str.maketrans("øæłß", "oals")
_ABBREVIATED = {
    "Transportation": "Transp.",
    "Construction": "Constr.",
    "Engineering": "Eng.",
    "Manufacturing": "Mfg.",
    "Services": "Svcs",
    "Technologies": "Tech",
    "Management": "Mgmt",
    "International": "Intl",
    "Development": "Dev.",
    "Brothers": "Bros.",
    "Associates": "Assoc.",
    "Communications": "Comm.",
    "Pharmaceuticals": "Pharma",
    "Ingenieurbüro": "Ing.-Büro",
    "Steuerberatung": "Stb.",
    "Versicherungsmakler": "Vers.makler",
    "Wohnungsgesellschaft": "Wohnungsges.",
    "Bauunternehmung": "Bauuntern.",
    "Gesellschaft": "Ges.",
}


@dataclass(frozen=True)
class Names:
    """odin, psa: the names of either side by id. truth: ODIN's id -> the PSA's ids that are the same company; a company that the
    PSA does not have is not in it."""

    odin: dict[str, str]
    psa: dict[str, str]
    truth: dict[str, set[str]]


def messy_names(seed: int, companies: int) -> Names:
    """So many companies in ODIN and about as many in the PSA. Of ten, one is not in the PSA; of twenty, one stands there twice;
    for one of eight the PSA has another company of nearly the same name, and that one is as often the only one as not."""
    random = Random(seed)
    odin: dict[str, str] = {}
    psa: dict[str, str] = {}
    truth: dict[str, set[str]] = {}
    taken: set[str] = set()
    while len(odin) < companies:
        name = _company(random)
        if name in taken:
            continue
        taken.add(name)
        odin_id = f"o{len(odin)}"
        odin[odin_id] = _cut(_with_legal(random, name))
        absent = random.random() < 0.10
        if not absent:
            for _ in range(2 if random.random() < 0.05 else 1):
                psa_id = f"p{len(psa)}"
                psa[psa_id] = _cut(_typed(random, name))
                truth.setdefault(odin_id, set()).add(psa_id)
        near = _neighbour(random, name)
        if random.random() < (0.5 if absent else 0.08) and near not in taken:
            taken.add(near)
            psa[f"p{len(psa)}"] = _cut(_typed(random, near))
    while len(psa) < companies:
        name = _company(random)
        if name not in taken:
            taken.add(name)
            psa[f"p{len(psa)}"] = _cut(_typed(random, name))
    ids = list(psa)
    random.shuffle(ids)
    return Names(odin, {psa_id: psa[psa_id] for psa_id in ids}, truth)


def _company(random: Random) -> str:
    pick = random.choice
    makes: tuple[Callable[[], str], ...] = (
        lambda: f"{pick(_SURNAMES)} {pick(_TRADES)}",
        lambda: f"{pick(_SURNAMES)} & {pick(_SURNAMES)} {pick(_TRADES)}",
        lambda: f"{pick(_SURNAMES)} Brothers {pick(_TRADES)}",
        lambda: f"{pick(_COINED)}{pick(_ENDINGS)} {pick(_TRADES)}",
        lambda: f"{pick(_COINED)}{pick(_ENDINGS)}",
        lambda: f"{pick(_PLACES)} {pick(_COINED)} {pick(_TRADES)}",
        lambda: f"{pick(_TRADES)} {pick(_SURNAMES)} {pick(_PLACES)}",
        lambda: f"{pick(_PLACES)} {pick(_TRADES)} {pick(_SURNAMES)} International",
        lambda: f"{pick(_SURNAMES)}, {pick(_SURNAMES)} & Associates {pick(_PLACES)}",
        lambda: f"The {pick(_COINED)} {pick(_PLACES)} Group {pick(_TRADES)}",
    )
    return pick(makes)()


def _neighbour(random: Random, name: str) -> str:
    """Another company of nearly the same name: one word is another."""
    words = name.split(" ")
    at = random.randrange(len(words))
    kind = random.choice((_SURNAMES, _PLACES, _TRADES))
    if random.random() < 0.3:
        return f"{name} {random.choice(_PLACES)}"
    words[at] = random.choice(kind)
    return " ".join(words)


def _with_legal(random: Random, name: str) -> str:
    return f"{name} {random.choice(_LEGAL)}" if random.random() < 0.75 else name


def _typed(random: Random, name: str) -> str:
    """The name as somebody typed it into the PSA."""
    changes: tuple[tuple[float, Callable[[Random, str], str]], ...] = (
        (0.30, _abbreviated),
        (0.12, _dropped_word),
        (0.10, _reordered),
        (0.15, _typo),
        (0.04, _typo),
        (0.35, _without_umlauts),
        (0.20, lambda _random, text: text.replace(" & ", " and ")),
        (0.08, lambda _random, text: text.replace(" ", "", 1)),
        (0.10, lambda random, text: f"{text} {random.choice(_PLACES)}"),
    )
    for chance, change in changes:
        if random.random() < chance:
            name = change(random, name)
    name = _with_legal(random, name) if random.random() < 0.8 else name
    if random.random() < 0.06:
        name = f"{name} {random.choice(_REMARKS)}"
    case = random.random()
    return name.upper() if case < 0.10 else name.lower() if case < 0.13 else name


def _abbreviated(random: Random, name: str) -> str:
    words = name.split(" ")
    at = [n for n, word in enumerate(words) if word in _ABBREVIATED]
    if at and random.random() < 0.8:
        chosen = random.choice(at)
        words[chosen] = _ABBREVIATED[words[chosen]]
    else:
        chosen = max(range(len(words)), key=lambda n: len(words[n]))
        keep = random.randint(4, 6)
        if len(words[chosen]) > keep + 2:
            words[chosen] = words[chosen][:keep] + "."
    return " ".join(words)


def _dropped_word(random: Random, name: str) -> str:
    words = name.split(" ")
    if len(words) > 2:
        words.pop(random.randrange(1, len(words)))
    return " ".join(words)


def _reordered(random: Random, name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{rest}, {first}" if rest else name


def _typo(random: Random, name: str) -> str:
    at = random.randrange(1, max(2, len(name) - 2))
    letter = random.choice("abcdefghiklmnoprstuwz")
    kinds = (
        name[:at] + name[at + 1 :],
        name[:at] + name[at] + name[at:],
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :],
    )
    return random.choice(kinds)


def _without_umlauts(random: Random, name: str) -> str:
    if random.random() < 0.5:
        parted = unicodedata.normalize("NFKD", name.translate(_PLAIN))
        return "".join(letter for letter in parted if not unicodedata.combining(letter))
    return "".join(_FOLDED.get(letter, letter) for letter in name)


def _cut(name: str) -> str:
    return name[:LONGEST].rstrip()
