"""Keys of an installation in containers: each in the volume of the one process that may hold it, made once."""

from pathlib import Path

from deploy.up.in_containers import OPENERS, _make_keys


def kept(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.glob("*/environment")}


def test_the_gateways_key_stands_beside_its_token_and_stays(tmp_path: Path) -> None:
    _make_keys(tmp_path)
    made = kept(tmp_path)
    _make_keys(tmp_path)

    assert kept(tmp_path) == made
    own = made.pop("gateway/environment")
    assert "TRUEUP_GATEWAY_TOKEN=" in own
    assert "TRUEUP_PRIVATE_KEY=" in own
    assert made.keys() == {f"{name}/environment" for name in (*OPENERS, "public")}


def test_an_installation_that_had_no_key_yet_gets_one_and_keeps_its_token(tmp_path: Path) -> None:
    _make_keys(tmp_path)
    own = tmp_path / "gateway" / "environment"
    before = own.read_text().splitlines(keepends=True)[0]
    own.write_text(before)

    _make_keys(tmp_path)

    assert own.read_text().startswith(before)
    assert "TRUEUP_PRIVATE_KEY=" in own.read_text()
