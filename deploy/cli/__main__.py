"""`python -m deploy.cli`: the same as the installed command `trueup`."""

from deploy.cli import main

main()
