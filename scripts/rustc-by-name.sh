#!/usr/bin/env bash
# Stands between cargo and rustc when components are built. Cargo identifies a crate outside its workspace, and all that
# depends on it, by the absolute folder it lies in, which would show in the order of the code. Here the crates of this
# tree are identified by their names.
set -euo pipefail
compiler=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)

words=()
for word in "$@"; do
  case ${CARGO_MANIFEST_DIR:-}:$word in
    "$root"/*:metadata=*) words+=("metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION") ;;
    *) words+=("$word") ;;
  esac
done
exec "$compiler" "${words[@]}"
