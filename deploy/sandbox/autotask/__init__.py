"""A stand-in Autotask: SOAP 1.6 over real HTTP, its adjustment engine, limits and faults, and a ledger to prove "once" against."""
