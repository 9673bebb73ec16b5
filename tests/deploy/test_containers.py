"""docker-compose.yml and the Dockerfile -> what a container may not: be root, gain rights, change its files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "trueup")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_rights_but_those_to_become_a_user_and_gains_none(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert not {"privileged", "network_mode", "pid", "user", "devices"} & set(service)


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_cannot_change_a_file_but_in_its_volumes_and_in_memory(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert all(place.startswith("/tmp:size=") for place in service["tmpfs"])
    assert "cap_add" not in service


def test_the_image_is_run_by_a_user_that_is_not_root() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").splitlines()

    assert [line for line in lines if line.startswith("USER ")] == ["USER trueup"]
    assert any("--uid 10001" in line and line.endswith("trueup \\") for line in lines)


def test_only_loopback_addresses_are_opened_on_the_machine() -> None:
    opened = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert opened
    assert all(port.startswith("127.0.0.1:") for port in opened)
