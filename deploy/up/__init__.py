"""`make up`: the whole house on one machine, with a sandbox marketplace and PSA, in one folder that can be thrown away."""
