#!/bin/sh
# A checkout -> .venv with exactly the locked packages and the project itself. Called by make, when a lock has changed.
set -eu
cd "$(dirname "$0")/.."

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# The newest first; pyenv's stand-ins exist for every version ever installed but answer only for the chosen one.
candidates="${PYTHON:-} python3.12 python3.11 python3 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3"

first() {
  for python in $candidates; do
    if usable "$python" && { [ "$1" = any ] || can_make_venv "$python"; }; then echo "$python"; return; fi
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

install_python() {
  command -v apt-get >/dev/null 2>&1 || return 1
  echo "installing Python's venv module with apt-get ..."
  as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q && apt-get install -y -q python3 python3-venv' >/dev/null
}

python=$(first whole)
if [ -z "$python" ]; then install_python || true; python=$(first whole); fi
if [ -z "$python" ]; then
  if [ -n "$(first any)" ]; then
    echo "Python $(first any) lacks the modules venv and ensurepip. Debian and Ubuntu: sudo apt-get install python3-venv" >&2
  else
    echo "Trueup needs Python 3.11 or 3.12, and none answers on this machine. Install one, or say where it is: make PYTHON=/path/to/python3.12 ..." >&2
  fi
  exit 1
fi

if ! usable .venv/bin/python || ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
  rm -rf .venv
  echo "making .venv with $("$python" --version) ..."
  "$python" -m venv .venv
fi
echo "installing the locked packages into .venv (a minute or two the first time) ..."
pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore .venv/bin/python -m pip --quiet install"
$pip --require-hashes --no-deps -r requirements-dev.lock
$pip --no-deps --no-build-isolation -e .
touch .venv/installed
