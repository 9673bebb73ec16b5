#!/bin/sh
# (settings files of this container) -> the command with those settings: keys live in volumes, not in the composition.
set -eu
for file in /secrets/*/environment; do
  if [ -e "$file" ]; then . "$file"; fi
done
exec "$@"
