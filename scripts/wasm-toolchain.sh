#!/usr/bin/env bash
# Makes a Rust compiler with the standard library for wasm32-unknown-unknown available.
# Prints `export …` lines for the caller to evaluate; everything else goes to the error stream.
#   1. the active toolchain has the target             -> nothing to do
#   2. rustup may download (RUSTUP_AUTO_INSTALL is not 0) -> rustup target add
#   3. Debian and its children: the packages rustc-web and rust-web-src, unpacked into a cache folder
#      (nothing is installed, no root is needed); the standard library is built there once
# VETTID_WASM_TOOLCHAIN names another cache folder; VETTID_WASM_FORCE_DEBIAN=1 skips 1 and 2.
set -euo pipefail

target=wasm32-unknown-unknown
cache=${VETTID_WASM_TOOLCHAIN:-${XDG_CACHE_HOME:-$HOME/.cache}/vettid-wasm-toolchain}
compiler=$cache/bin/rustc
# What the handlers ask for.
least=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$(dirname "$0")/../handlers/Cargo.toml")

say() { echo "wasm-toolchain: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

has_target() {
  local folder
  folder=$("$1" --print target-libdir --target $target 2>/dev/null) || return 1
  [ -n "$(find "$folder" -name 'libstd-*.rlib' 2>/dev/null | head -n 1)" ]
}

may_download() { command -v rustup >/dev/null && [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; }

is_new_enough() { dpkg --compare-versions "$1" ge "$least"; }

is_complete() {
  [ -f "$cache/COMPLETE" ] && has_target "$compiler" && is_new_enough "$("$compiler" --version | awk '{print $2}')"
}

# The five packages of one version; the candidate's, so that they fit together. Old package lists name an old one.
download() {
  local version series llvm
  version=$(apt-cache policy rustc-web | awk '/Candidate:/ {print $2}')
  [ -n "$version" ] && [ "$version" != "(none)" ] && is_new_enough "$version" || return 1
  series=$(echo "$version" | cut -d. -f1,2)
  llvm=$(apt-cache depends "libstd-rust-web-$series" | awk '/Depends: libllvm/ {print $2}')
  apt-get download -q -o APT::Sandbox::User=root \
    "rustc-web=$version" "libstd-rust-web-$series=$version" "libstd-rust-web-dev=$version" "rust-web-src=$version" "$llvm" >&2
}

unpack() {
  say "unpacking Debian's rustc-web into $cache"
  rm -rf "$cache"/*
  mkdir -p "$cache/debs" "$cache/bin"
  cd "$cache/debs"
  download || { say "refreshing the package lists"; apt-get update -qq >&2; rm -f ./*.deb; download; } ||
    fail "rustc-web $least or newer is not to be had here"
  for package in *.deb; do dpkg -x "$package" "$cache"; done
  sha256sum ./*.deb > "$cache/DEBS.sha256"
  source=$(find "$cache/usr/src" -maxdepth 1 -name 'rustc-*' | head -n 1)
  rm -rf "$cache/debs" "$source"/{src,debian,compiler} "$cache/usr/share" "$cache/usr/lib/rustlib/src/rust"
  mkdir -p "$cache/usr/lib/rustlib/src"
  ln -sfn "../../../src/$(basename "$source")" "$cache/usr/lib/rustlib/src/rust"
  libraries=$(find "$cache/usr/lib" -maxdepth 1 -name '*-linux-gnu' | head -n 1)
  for program in rustc rustdoc; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$cache/usr/bin/$program" > "$cache/bin/$program"
    chmod +x "$cache/bin/$program"
  done
}

# An empty crate makes cargo build the standard library, which is then put where the compiler looks for it.
build_std() {
  say "building the standard library for $target"
  local work=$cache/build registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
  mkdir -p "$work/src"
  cd "$work"
  cat > Cargo.toml <<'TOML'
[package]
name = "stdbuild"
version = "0.0.0"
edition = "2021"
[workspace]
[profile.release]
panic = "abort"
codegen-units = 1
TOML
  echo '#![no_std]' > src/lib.rs
  RUSTC=$compiler RUSTC_BOOTSTRAP=1 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$source=/rustc --remap-path-prefix=$cache/usr/lib/rustlib/src/rust=/rustc --remap-path-prefix=$registry=/crates" \
    cargo build -q --release -Zbuild-std=std,panic_abort,proc_macro --target $target --target-dir "$work/target" >&2
  local libraries=$cache/usr/lib/rustlib/$target/lib
  mkdir -p "$libraries"
  cp "target/$target/release/deps"/lib*.rlib "$libraries"/
  rm -f "$libraries"/libstdbuild-*
  cd /
  rm -rf "$work"
}

if [ -z "${VETTID_WASM_FORCE_DEBIAN:-}" ]; then
  if has_target rustc; then exit 0; fi
  if may_download && rustup target add $target >&2 && has_target rustc; then exit 0; fi
fi

if ! is_complete; then
  command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
    fail "no $target: run 'rustup target add $target', or use a system with apt-get"
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
  mkdir -p "$cache"
  unpack
  build_std
  touch "$cache/COMPLETE"
fi

# Every rustup toolchain brings rust-lld and wasm-component-ld.
linkers=$(find "$(rustc --print sysroot)/lib/rustlib" -maxdepth 2 -name bin | head -n 1)
[ -x "$linkers/wasm-component-ld" ] ||
  fail "no wasm-component-ld beside rustc: run 'cargo install wasm-component-ld --locked' and install lld"
say "using $("$compiler" --version)"
printf 'export RUSTC=%q RUSTDOC=%q PATH=%q:"$PATH" VETTID_WASM_SYSROOT=%q\n' \
  "$compiler" "$cache/bin/rustdoc" "$linkers" "$cache/usr"
