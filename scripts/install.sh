#!/bin/sh
# Make the virtual environment and install the locked packages and the project. Usage: install.sh PYTHON VENV
set -eu
python=$1
venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "error: $python is not Python 3.11 or later; install it, or name another one: make PYTHON=python3.12 $*" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -q python3-venv >/dev/null
    else
        echo "error: $python has no venv module; install it: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "installing Python packages into $venv ..."
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "installed"
