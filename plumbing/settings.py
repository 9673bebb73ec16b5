"""Environment -> one frozen settings object a process; the only place that reads the environment.

Each field is read from TRUEUP_<FIELD NAME>. A missing or bad value ends the program with one line that says what to set.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from plumbing.secrets import are_keys

PREFIX: Final = "TRUEUP_"
#: Each may be a list with commas; what is below such a host may be called as well.
AUTOTASK_HOSTS: Final = "autotask.net"
HOSTS_HELP: Final = "hosts at which {} may be, with all below them, such as example.com,example.net; empty: any"
BREACHED_HELP: Final = "file of breached passwords, which nobody may choose: lines of SHA-1 hashes, sorted; empty: none"

S = TypeVar("S", bound="Settings")


class BadSettings(Exception):
    """The settings are not usable; the message names each bad one and what to do."""


def setting(
    default: Any = ...,
    *,
    help: str,  # noqa: A002
    secret: bool = False,
    fits: Callable[[Any], bool] = lambda _: True,
) -> Any:
    """A settings field: its default (none: it must be set), what it is for, whether it is shown masked, and what a value
    must hold to."""
    metadata = {"help": help, "secret": secret, "fits": fits}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def _is_url(*schemes: str) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0

    return fits


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every process needs."""

    database_url: str = setting(
        secret=True, help="postgresql://role:password@host:port/database", fits=_is_url("postgresql", "postgres")
    )
    rabbitmq_url: str = setting(secret=True, help="amqp://user:password@host:port/vhost", fits=_is_url("amqp", "amqps"))
    host: str = setting("127.0.0.1", help="address that health, metrics and pages listen on")
    port: int = setting(
        0,
        help="port of health and metrics (the gateway: of everything); 0 picks a free one",
        fits=lambda port: 0 <= port <= 65535,
    )
    log_level: str = setting(
        "INFO",
        help="DEBUG, INFO, WARNING or ERROR",
        fits=lambda level: level in ("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    clock_file: str = setting("", help="sandbox only: a file with the seconds that the clock is set forward")
    sweep_seconds: Decimal = setting(
        Decimal(15),
        help="how often a consumer looks for bells that were lost, in seconds above 0",
        fits=lambda s: s > 0,
    )
    retry_seconds: tuple[int, ...] = setting(
        (10, 10, 60, 240, 600),
        help="pauses before a failed message is tried again, in seconds, such as 10,60,600",
        fits=lambda pauses: min(pauses) >= 0,
    )


@dataclass(frozen=True, kw_only=True)
class OutsideSettings(Settings):
    """What the processes that call an outside API need as well."""

    private_key: str = setting(
        secret=True,
        help="opens the connection secrets sealed for this service (base64); several with commas, the newest first",
        fits=are_keys,
    )
    private_addresses: bool = setting(
        default=False, help="whether connections may lead to http and private addresses (sandbox only)"
    )
    odin_hosts: str = setting("", help=HOSTS_HELP.format("marketplaces"))
    autotask_hosts: str = setting(AUTOTASK_HOSTS, help=HOSTS_HELP.format("Autotask's web services"))
    http_connect_seconds: Decimal = setting(Decimal(10), help="longest wait for a connection to an outside API")
    http_read_seconds: Decimal = setting(Decimal(120), help="longest silence of an outside API")
    http_total_seconds: Decimal = setting(Decimal(300), help="longest time for one call to an outside API")


@dataclass(frozen=True, kw_only=True)
class OperatorSettings(Settings):
    """What the operator's command needs: it seals connection secrets for the services that open them."""

    poller_public_key: str = setting("", help="public key of the poller, made by `trueup key new`")
    psa_writer_public_key: str = setting("", help="public key of the writer, made by `trueup key new`")
    reporting_public_key: str = setting("", help="public key of reporting, made by `trueup key new`")
    breached_passwords: str = setting("", help=BREACHED_HELP)

    def public_keys(self) -> dict[str, str]:
        """The public key of each service that opens secrets; BadSettings when one is not set."""
        keys = {"poller": self.poller_public_key, "psa_writer": self.psa_writer_public_key}
        missing = [f"{PREFIX}{service.upper()}_PUBLIC_KEY" for service, key in keys.items() if not key]
        if missing:
            raise BadSettings(f"set {' and '.join(missing)}: the public halves of the keys from `trueup key new`")
        return keys

    def public_key(self, service: str) -> str:
        """The public key of one service that opens secrets; BadSettings when it is not set."""
        key = str(getattr(self, f"{service}_public_key"))
        if not key:
            raise BadSettings(
                f"set {PREFIX}{service.upper()}_PUBLIC_KEY: the public half of the key that {service} holds"
            )
        return key


def read_settings(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings of a process; BadSettings names every missing or unreadable one at once."""
    given = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    faults: list[str] = []
    for f in fields(kind):
        name = PREFIX + f.name.upper()
        text = given.get(name, "")
        if text:
            try:
                value = values[f.name] = _PARSERS[f.type](text)
                usable = f.metadata["fits"](value)
            except (ValueError, ArithmeticError, KeyError):
                usable = False
            if not usable:
                faults.append(f"{name} is {'not usable' if f.metadata['secret'] else repr(text)}: {f.metadata['help']}")
        elif f.default is MISSING:
            faults.append(f"{name} is not set: {f.metadata['help']}")
    if faults:
        raise BadSettings("\n".join(faults))
    return kind(**values)


def hosts_of(text: str) -> tuple[str, ...]:
    """The hosts of a setting such as odin_hosts, as they are compared."""
    return tuple(host for each in text.split(",") if (host := each.strip().strip(".").lower()))


def settings_or_exit(kind: type[S]) -> S:
    """The settings of this process; when they are bad, says so on standard error and ends with status 2."""
    try:
        return read_settings(kind)
    except BadSettings as bad:
        sys.stderr.write(f"{bad}\n")
        raise SystemExit(2) from None


def masked(settings: Settings) -> dict[str, str]:
    """The settings as they may be shown: secrets are replaced by whether they are set."""
    return {
        f.name: ("***" if value else "") if f.metadata.get("secret") else str(value)
        for f in fields(settings)
        for value in [getattr(settings, f.name)]
    }


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    Decimal: Decimal,
    bool: _boolean,
    tuple[int, ...]: _whole_numbers,
}
