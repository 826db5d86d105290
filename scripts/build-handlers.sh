#!/usr/bin/env bash
# Builds every handler of handlers/ as a WebAssembly component into handlers/dist, with SHA256SUMS and TOOLCHAIN beside
# them. The same compiler gives the same bytes in any folder. VETTID_WASM_TOOLCHAIN: see wasm-toolchain.sh.
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$scripts")
target=wasm32-unknown-unknown
cd "$root/handlers"
mkdir -p target

# One build at a time; the toolchain is shared by all trees of this user.
if command -v flock >/dev/null; then
  lock=${XDG_CACHE_HOME:-$HOME/.cache}/vettid-wasm-toolchain.lock
  mkdir -p "$(dirname "$lock")"
  exec 9> "$lock"
  flock 9
fi

# What a caller wants for its own build does not hold for this one.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_TARGET_DIR CARGO_BUILD_TARGET CARGO_BUILD_TARGET_DIR
echo "build-handlers: building the components of handlers/ (the first time fetches or builds a toolchain: some minutes)" >&2
environment=$("$scripts/wasm-toolchain.sh")
eval "$environment"

cargo fetch --locked -q
remap="--remap-path-prefix=$root=/vettid"
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do remap="$remap --remap-path-prefix=$folder=/crates"; done
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$remap
RUSTC_WRAPPER=$scripts/rustc-by-name.sh cargo build --release --locked --target-dir target

fresh=target/dist
rm -rf "$fresh"
mkdir -p "$fresh"
cp target/$target/release/*.wasm "$fresh"/
(
  cd "$fresh"
  sha256sum ./*.wasm > SHA256SUMS
  { "${RUSTC:-rustc}" --version; wasm-component-ld --version 2>/dev/null || true; } > TOOLCHAIN
)
rm -rf dist
mv "$fresh" dist
cat dist/SHA256SUMS dist/TOOLCHAIN
