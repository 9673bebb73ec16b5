"""How Trueup is set up, started and operated: migrations, runners, the operator's command, the sandbox."""
