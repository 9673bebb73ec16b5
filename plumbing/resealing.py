"""Sealed secrets -> the same, sealed with the newest key of the service that opens them. Nobody else sees them in clear."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from domain.keys import ConnectionId, MspId
from plumbing.answering import rpc
from plumbing.secrets import NotForUs, each_key, key_ids, public_key_of, seal, unseal


class OpensSecrets:
    """A service that holds private keys: what it answers when one of them is replaced (decision 0029)."""

    house: Any

    @rpc
    def held_keys(self) -> dict[str, Any]:
        """{"replica", "key_ids"}: the keys with which this replica opens secrets, the newest first."""
        return held_keys(self.house.settings.private_key)

    @rpc
    def reseal(self, msp_id: str, connection_id: str, sealed: dict[str, str]) -> dict[str, Any]:
        """{"sealed", "refusal"}: the sealed secrets of a connection or rule, sealed with the newest key."""
        return resealed(self.house.settings.private_key, MspId(msp_id), ConnectionId(connection_id), sealed)


def held_keys(private_key: str) -> dict[str, Any]:
    """{"replica", "key_ids"}: which process of the service answers, and the keys that it holds, the newest first."""
    return {"replica": f"{socket.gethostname()}:{os.getpid()}", "key_ids": key_ids(private_key) if private_key else []}


def resealed(private_key: str, msp_id: MspId, connection_id: ConnectionId, sealed: Mapping[str, str]) -> dict[str, Any]:
    """{"sealed": {name: sealed anew}, "refusal": "" or why not}: all of them or none. For a notification rule's secret the
    rule's id stands for the connection's."""
    public_key = public_key_of(each_key(private_key)[0])
    try:
        clear = {name: unseal(private_key, msp_id, connection_id, name, blob) for name, blob in sealed.items()}
    except NotForUs as fault:
        return {"sealed": {}, "refusal": str(fault)}
    anew = {name: seal(public_key, msp_id, connection_id, name, value) for name, value in clear.items()}
    return {"sealed": anew, "refusal": ""}
