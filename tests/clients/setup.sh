#!/usr/bin/env bash
# Installs the test clients below target/test-clients, pinned, outside the sources:
#   python-current, python-previous   one virtual environment per requirements file
#   node                              node_modules by the lock file
# Does nothing (and needs no network) for a part whose pins have not changed since it was installed.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="$here/../../target/test-clients"
mkdir -p "$target"

# Two test processes may ask at once: the second waits for the first and finds it done.
exec 9>"$target/.lock"
flock 9

# fresh DIR FILE...: whether DIR was completely installed from exactly these files.
fresh() {
  local dir="$1"
  shift
  [[ -f "$dir/.stamp" && "$(cat "$dir/.stamp")" == "$(stamp "$@")" ]]
}

stamp() {
  cat "$@" | sha256sum | cut -d' ' -f1
}

need() {
  command -v "$1" >/dev/null || {
    echo "setup.sh: $1 is not installed; on Debian: apt-get install $2" >&2
    exit 1
  }
}

for requirements in "$here"/python/requirements-*.txt; do
  name="$(basename "$requirements" .txt)"
  dir="$target/python-${name#requirements-}"
  fresh "$dir" "$requirements" && continue
  need python3 "python3 python3-venv"
  echo "setup.sh: installing $(basename "$dir")" >&2
  rm -rf "$dir"
  python3 -m venv "$dir"
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2
  stamp "$requirements" >"$dir/.stamp"
done

dir="$target/node"
if ! fresh "$dir" "$here/node/package.json" "$here/node/package-lock.json"; then
  need npm "nodejs npm"
  echo "setup.sh: installing node" >&2
  rm -rf "$dir"
  mkdir -p "$dir"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$dir/"
  (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  stamp "$here/node/package.json" "$here/node/package-lock.json" >"$dir/.stamp"
fi
# A module is found from where the importing file lies, so the program goes beside its modules.
cp "$here/node/send_calls.mjs" "$dir/"
