"""`python -m deploy.cli`: the operator's command where `trueup` itself is not installed."""

from deploy.cli import main

main()
