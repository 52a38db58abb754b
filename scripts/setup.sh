#!/usr/bin/env bash
# Installs what building and testing Stockade need, and nothing else. `--check build` only says whether the build's part
# is there. Packages that are there already are not touched; without root, says what to run.
set -euo pipefail

debian_build=(g++ cmake ninja-build make pkg-config libyaml-dev nlohmann-json3-dev libfmt-dev libcli11-dev libsodium-dev libssl-dev
  node-llhttp libnghttp2-dev libvectorscan-dev libre2-dev zlib1g-dev libbrotli-dev libzstd-dev libutf8proc-dev
  libseccomp-dev libgtest-dev libgmock-dev libldns-dev libwslay-dev mold ccache)
debian_test=(python3 python3-pip python3-pytest python3-yaml openssl curl wget git nftables iproute2 tmux strace procps openssh-server openssh-client
  postgresql redis-server redis-tools mariadb-server-core mariadb-client-core haproxy nghttp2-client nghttp2-server bubblewrap crun podman ripgrep socat hyperfine npm nodejs golang-go netcat-openbsd
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19)
fedora_build=(gcc-c++ cmake ninja-build make pkgconf libyaml-devel libyaml-static json-devel fmt-devel cli11-devel
  libsodium-devel libsodium-static openssl-devel llhttp-devel libnghttp2-devel vectorscan-devel re2-devel zlib-devel brotli-devel
  libzstd-devel utf8proc-devel wslay-devel glibc-static libstdc++-static libseccomp-devel libseccomp-static gtest-devel gmock-devel ldns-devel mold ccache)
fedora_test=(python3 python3-pip python3-pytest python3-pyyaml openssl curl wget git nftables iproute tmux strace procps-ng openssh-server
  openssh-clients postgresql-server redis mariadb-server haproxy bubblewrap crun podman ripgrep socat hyperfine nodejs-npm golang nmap-ncat
  clang clang-tools-extra compiler-rt llvm)

say() { printf 'setup: %s\n' "$*" >&2; }

missing_debian() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
  done
}
missing_fedora() {
  local package
  for package in "$@"; do rpm -q "$package" >/dev/null 2>&1 || echo "$package"; done
}
# A tool that the person installed by other means (a Node.js or Go of their own) is good enough.
already_a_command() {
  case "$1" in
    npm | nodejs-npm) command -v npm >/dev/null ;;
    nodejs) command -v node >/dev/null ;;
    golang-go | golang) command -v go >/dev/null ;;
    g++ | gcc-c++) command -v g++ >/dev/null ;;
    cmake | make | git | curl | tmux | strace | openssl) command -v "$1" >/dev/null ;;
    python3) command -v python3 >/dev/null ;;
    *) return 1 ;;
  esac
}

if command -v apt-get >/dev/null; then
  build=("${debian_build[@]}") all=("${debian_build[@]}" "${debian_test[@]}") missing=missing_debian
  install() { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }
elif command -v dnf >/dev/null; then
  build=("${fedora_build[@]}") all=("${fedora_build[@]}" "${fedora_test[@]}") missing=missing_fedora
  install() { dnf install -y -q "$@"; }
else
  say "neither apt-get nor dnf is here; docs/dependencies.md lists what to install"
  exit 1
fi

wanted=("${all[@]}")
[[ "${1-}" == --check ]] && wanted=("${build[@]}")
lacking=()
for package in $("$missing" "${wanted[@]}"); do already_a_command "$package" || lacking+=("$package"); done
[[ ${#lacking[@]} == 0 ]] && exit 0

if [[ "${1-}" == --check ]]; then
  say "missing: ${lacking[*]}"
  say "run 'make setup' as root first"
  exit 1
fi
if [[ $EUID != 0 ]]; then
  say "missing: ${lacking[*]}"
  say "run as root: $0"
  exit 1
fi
say "installing: ${lacking[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install "${lacking[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  say "the packages above could not be installed"
  exit 1
fi
