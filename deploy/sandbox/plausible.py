"""Names and prices that look like an MSP's books: what the seeded world is drawn from. All firms are made up."""

from dataclasses import dataclass

#: The first companies of every world, in this order. Among them: umlauts, legal forms, quotes, a very long name, one
#: written from right to left, one a spreadsheet would run as a formula and one a careless page would run as script.
FIRST_NAMES = (
    "Repair and Wear",
    "Müller & Söhne GmbH",
    "Harbour View Dental Clinic",
    "شركة النور للتجارة",
    "=Gleich & Partner OHG",
    "Pixel <img src=x onerror=alert(1)> Studio Ltd",
    (
        "Gemeinnützige Gesellschaft zur Förderung der beruflichen Weiterbildung im Handwerk des südlichen Oberrheins "
        "und der angrenzenden Landkreise mbH & Co. KG"
    ),
    "Bäckerei Grünewald e.K.",
    "Smith, Jones & O'Neill LLP",
    "Ångström Mätteknik AB",
    "Łódzka Optyka Sp. z o.o.",
    'The "Quiet Room" Acoustics Inc.',
    "Dupré et Associés SARL",
    "Westfield Primary School",
    "Zahnärzte am Schloßplatz",
    "Green Valley Veterinary Group",
    "Çınar Yapı A.Ş.",
    "Nørgaard Møbler ApS",
    "Riverside Legal Services Pty Ltd",
    "Spedition Groß & Klein KG",
    "Peña y Núñez Asesores S.L.",
    "Blue Door Estate Agents",
    "東都商事株式会社",
    "Maple Street Accounting",
)
OWNERS = (
    "Adler", "Bennett", "Caruso", "Dvořák", "Eriksen", "Fischer", "García", "Hughes", "Iversen", "Jäger", "Kowalski",
    "Lindqvist", "Moreau", "Novák", "O'Brien", "Petrov", "Quinn", "Rossi", "Schäfer", "Turner",
)  # fmt: skip
TRADES = (
    "Architects", "Bau", "Consulting", "Dental", "Elektro", "Foods", "Gardens", "Haustechnik", "Interiors", "Jewellers",
    "Kitchens", "Logistics", "Metallbau", "Nursery", "Optics", "Printing", "Quarries", "Roofing", "Steuerberatung",
    "Textiles",
)  # fmt: skip
LEGAL_FORMS = ("GmbH", "Ltd", "AG", "Inc.", "SARL", "B.V.", "LLP", "e.K.")
PLACES = ("Basel", "Bristol", "Köln", "Lyon", "Malmö", "Ottawa", "Perth", "Salzburg", "Utrecht", "Zürich")


@dataclass(frozen=True, slots=True)
class Offer:
    """A catalogue product: id, manufacturer's number, monthly price and cost in USD (cost "" = not told)."""

    product_id: str
    mpn: str
    vendor: str
    name: str
    price: str
    cost: str


EXAMPLE = Offer("100234", "EXO-P1_MONTHLY", "Microsoft", "Exchange Online (Plan 1)", "10.00", "3.40")
#: What may stand on a subscription. 100234 and PRD000244 share their mpn, as some do in the real catalogue.
OFFERS = (
    EXAMPLE,
    Offer("100235", "M365-BB_MONTHLY", "Microsoft", "Microsoft 365 Apps for business", "9.90", "8.25"),
    Offer("100237", "M365-BP_MONTHLY", "Microsoft", "Microsoft 365 Business Premium", "24.00", "18.7200"),
    Offer("100238", "M365-BE_MONTHLY", "Microsoft", "Microsoft 365 Business Basic", "7.20", "5.1"),
    Offer("PRD000244", "EXO-P1_MONTHLY", "Microsoft", "Exchange Online (Plan 1) (Nonprofit)", "4.00", "2.80"),
    Offer("PRD000310", "ACR-CB-WS", "Acronis", "Cyber Protect Workstation", "6.50", "3.95"),
    Offer("PRD000311", "ACR-CB-SRV", "Acronis", "Cyber Protect Server", "32.00", "21.1250"),
    Offer("PRD000420", "BD-GZ-BUS", "Bitdefender", "GravityZone Business Security", "3.80", "1.9"),
    Offer("PRD000515", "DBX-BUS-STD", "Dropbox", "Business Standard", "15.00", "12"),
    Offer("PRD000608", "ADB-ACR-PRO", "Adobe", "Acrobat Pro for teams", "23.99", ""),
)
USAGE_OFFER = Offer("PRD000901", "AZR-0145P", "Microsoft", "Azure plan (pay as you go)", "0.00", "0.00")
RESERVATION_NAME = "Azure Reserved VM Instance, 3 years"
