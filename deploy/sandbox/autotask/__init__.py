"""A stand-in Autotask: SOAP 1.6 over real HTTP, its adjustment engine, limits and faults, and a ledger to prove "once" against.

with autotask_sandbox() as psa:
    account = psa.add_account("Repair and Wear")
    contract = psa.add_contract(account, date(2026, 1, 1), date(2026, 12, 31))
    line = psa.add_line(contract, "Exchange Online (Plan 1)", 1, "3.40", "10.00")
    ...  # a client signs in at psa.url and posts
    assert [each.unit_change for each in psa.ledger(line)] == [7]
    assert psa.oracle() == []
"""

from deploy.sandbox.autotask.app import autotask_sandbox
from deploy.sandbox.autotask.desk import Desk

__all__ = ["Desk", "autotask_sandbox"]
