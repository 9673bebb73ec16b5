"""The seeded world's PSA side -> accounts, services, contracts and lines of one Autotask database."""

from dataclasses import replace

from deploy.sandbox.autotask.desk import Desk
from deploy.sandbox.autotask.periods import PeriodType
from deploy.sandbox.autotask.records import Account, Contract, Line, Service
from deploy.sandbox.world import World, make_world


def seed_database(desk: Desk, seed: int, companies: int = 24) -> World:
    """The world of this seed and the sandbox's day, in the database with its own ids. Fewer than one company raises ValueError."""
    world = make_world(seed, desk.clock.today(), companies)
    engine = desk.database.engine
    with desk.installation.lock, desk.database.books.transaction():
        for account in world.accounts:
            engine.add_account(Account(account.account_id, account.name, created_at=desk.clock.now()))
        for service in world.services:
            amounts = (service.unit_cost.amount, service.unit_price.amount)
            engine.add_service(Service(service.service_id, service.name, PeriodType(service.period_type), *amounts))
        starts = {}
        for each in world.contracts:
            contract = Contract(
                each.contract_id,
                each.account_id,
                each.name,
                each.start_date,
                each.end_date,
                PeriodType(each.period_type),
            )
            engine.add_contract(replace(contract, contract_type=each.contract_type, status=each.status))
            starts[each.contract_id] = each.start_date
        for line in world.contract_services:
            place = (line.contract_id, line.service_id, starts[line.contract_id])
            amounts = (line.unit_cost.amount, line.unit_price.amount)
            engine.add_line(Line.beginning(line.contract_service_id, place, int(line.units), *amounts))
    return world
