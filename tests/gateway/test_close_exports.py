"""The file of a close: CSV and PDF hold the same, names of any script are there or visibly replaced, a record's file stays."""

import csv
import io
import re
from collections.abc import Iterator

import pytest
import requests
from pypdf import PdfReader

from gateway.exports.close_pdf import write_pdf
from gateway.exports.close_sheet import COLUMNS, Sheet
from tests.gateway.closes import EDITED, UNLINKED, House, Msp, a_house
from tests.reporting import history as h
from tests.reporting.closing import B
from tests.servers import Postgres

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def house(postgres: Postgres, migrated_template: str) -> Iterator[House]:
    with a_house(postgres, migrated_template) as opened:
        yield opened


def lines(msp: Msp, **given: str) -> list[dict[str, str]]:
    answer = msp.export("close.csv", **given)
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def letters_of(pdf: bytes) -> str:
    """All that is written in it, without the spaces and line ends that a cell's width makes."""
    return re.sub(r"\s", "", "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def test_csv_and_pdf_hold_the_same_before_and_after_it_is_signed_off(house: House) -> None:
    msp = house.msp()
    euro = h.Money(h.Decimal("12.50"), "EUR")
    msp.tell(h.subscription(B), UNLINKED, h.discovered(h.odin("d", subscription="2"), "3", unit_price=euro), EDITED)
    msp.does("acceptCheck", check="unlinked", reason="Trial licences, billed later.")
    compared(msp, decisions=0)

    msp.does("signOffClose", reason="Corrected by hand.")
    msp.does("markInvoiced")
    compared(msp, decisions=2)


def compared(msp: Msp, decisions: int) -> None:
    # An open month is checked anew for each file, so its own moments may differ by a second.
    found, said = lines(msp), letters_of(msp.export("close.pdf").content)
    now = re.compile(r"\d{4}-\d\d-\d\dT?[\d:+]{14}")
    said = now.sub("T", said)

    assert len(found) == 12 + decisions
    assert found[0]["Money"] == "37.50 EUR; 8.00 USD"
    for line in found:
        row = "".join(line[name] for name in COLUMNS if name not in ("Reason", "Names"))
        assert now.sub("T", re.sub(r"\s", "", row)) in said
        assert re.sub(r"\s", "", line["Reason"]) in said
        for name in ("Month", "MSP", "Close state", "Due on", "Log position", "Exceptions", "Time zone"):
            assert f"{name}:{line[name]}".replace(" ", "") in said


def test_a_line_tells_who_accepted_what_and_why(house: House) -> None:
    msp = house.msp()
    msp.tell(UNLINKED)
    msp.does("acceptCheck", check="unlinked", reason="=1+1")
    msp.does("signOffClose")

    found = {line["Check"]: line for line in lines(msp)}
    unlinked = found["Unlinked resources"]
    assert (unlinked["Step"], unlinked["Rows"], unlinked["By"]) == ("1", "1", "operator")
    # What a spreadsheet would execute is harmless.
    assert unlinked["Reason"] == "'=1+1"
    assert found["Signed off"]["By"] == "operator"


def test_the_file_of_a_record_stays_byte_for_byte_whatever_happens_after(house: House) -> None:
    msp = house.msp()
    msp.does("signOffClose")
    before = [msp.export(f"close.{kind}").content for kind in ("csv", "pdf")]
    msp.tell(UNLINKED, EDITED, h.poll_failed())
    after = [msp.export(f"close.{kind}").content for kind in ("csv", "pdf")]

    assert after == before


def test_names_of_any_script_are_in_the_csv_and_in_the_pdf_or_their_numbers_stand_for_them(house: House) -> None:
    msp = house.msp()
    for number, name in enumerate(["Müller & Söhne <b>", "Ελλάς", "Привет", "東京", "שלום"]):
        names = h.odin(f"x{number}", subscription="7", company=f"7{number}") | {"company_name": name}
        msp.tell(h.discovered(names, "1"))

    (line,) = (line for line in lines(msp) if line["Check"] == "Companies without a PSA agreement")
    said = letters_of(msp.export("close.pdf").content)

    assert line["Names"] == "Müller & Söhne <b>; Ελλάς; Привет; שלום; 東京"
    assert "Müller&Söhne<b>;Ελλάς;Привет;" in said
    assert "[U+05E9][U+05DC][U+05D5][U+05DD];[U+6771][U+4EAC]" in said


def test_long_reasons_many_names_and_signs_without_a_shape_fill_pages_and_break_nothing() -> None:
    names = "; ".join(f"{number} {'long name ' * 20}{'x' * 300}" for number in range(200))
    row = dict.fromkeys(COLUMNS, "") | {
        "Check": "Companies",
        "Reason": "r" * 1000 + "\n\t\x01\u202e\u200b",
        "Names": names,
    }
    cells = tuple(row.values())

    pdf = write_pdf(Sheet("Close", (("Month", "2018-07"),), (cells,) * 3))

    assert len(PdfReader(io.BytesIO(pdf)).pages) > 2
    assert "[U+0001][U+202E][U+200B]" in letters_of(pdf)


def test_a_close_is_named_in_its_file_and_is_neither_kept_nor_guessed_at(house: House) -> None:
    msp = house.msp()

    answer = msp.export("close.pdf")

    assert answer.headers["content-type"] == "application/pdf"
    file = f"trueup-close-autotask-{house.period}.pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="{file}"'
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert answer.headers["x-trueup-position"] == "12"


def test_it_may_be_asked_for_as_the_other_exports_are(house: House) -> None:
    msp = house.msp()

    assert msp.export("close.csv", mspId=None, msp=msp.msp_id).status_code == 200


@pytest.mark.parametrize(
    ("file", "given", "status", "code"),
    [
        ("close.xlsx", {}, 404, "NO_SUCH_REPORT"),
        ("close.csv", {"mspId": "nobody"}, 404, "NO_SUCH_MSP"),
        ("close.csv", {"mspId": None}, 400, "BAD_PARAMETER"),
        ("close.csv", {"context": "odin"}, 404, "NO_SUCH_CONNECTION"),
        ("close.csv", {"context": "a\0"}, 400, "BAD_PARAMETER"),
        ("close.pdf", {"period": "July"}, 400, "BAD_PERIOD"),
        ("close.pdf", {"period": None}, 400, "BAD_PARAMETER"),
        ("close.pdf", {"cols": "rows"}, 400, "BAD_PARAMETER"),
        ("close.pdf", {"msp": "acme"}, 400, "BAD_PARAMETER"),
    ],
)
def test_a_file_that_there_is_not_is_refused_with_what_there_is(
    house: House, file: str, given: dict[str, str], status: int, code: str
) -> None:
    answer = house.msp().export(file, **given)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert error["extensions"]["fix"]


def test_without_the_token_there_is_no_file(house: House) -> None:
    assert requests.get(f"{house.answering.url}/export/close.pdf", timeout=10).status_code == 401
