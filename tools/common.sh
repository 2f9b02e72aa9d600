# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tools share: the Debian packages they need, building, waiting, timing. Source it, do not run it.
# shellcheck disable=SC2034  # the lists are for the scripts that source this file

export HOME=${HOME:-/root}
cache_directory=${SLACKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slacker}

# To build the package.
build_packages=(
    libarchive-dev libcurl4-openssl-dev libfuse3-dev libsqlite3-dev libzstd-dev pkg-config zlib1g-dev
)
# To run containers and to make images for them.
run_packages=(ca-certificates e2fsprogs fuse3 mmdebstrap mount procps python3 runc)
# What the tests call besides.
test_packages=(
    acl attr busybox-static containerd curl docker-registry fio jq nginx openssl prometheus python3-venv qemu-utils skopeo
    strace tar umoci
    zstd
)
# What works on volumes while the daemon is killed, and what notices a lost byte.
trial_packages=(fio git postgresql)
# What is measured, and what it is measured against.
bench_packages=(containerd curl docker-registry fio qemu-system-common qemu-utils skopeo)

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

require_root() {
    [ "$(id -u)" = 0 ] || fail "must run as root: it mounts file systems and starts containers; try sudo $0"
}

require_swift() {
    command -v swift >/dev/null || fail "no swift in PATH; install it from https://www.swift.org/install/linux"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Installs those of the named packages that are missing. Services among them are not started.
ensure_packages() {
    local missing=() package policy=/usr/sbin/policy-rc.d
    for package in "$@"; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "this needs Debian 12; without apt, install by hand: ${missing[*]}"
    require_root
    echo "installing ${missing[*]}" >&2
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    else
        policy=
    fi
    local status=0
    install_packages "${missing[@]}" || {
        apt-get -qq -o DPkg::Lock::Timeout=300 update >&2 && install_packages "${missing[@]}"
    } || status=$?
    [ -z "$policy" ] || rm -f "$policy"
    [ "$status" = 0 ] || fail "apt-get could not install ${missing[*]}"
}

install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install "$@" >&2
}

# Builds a program for release, with nothing of Swift left to load at its start, and prints its path.
release_binary() {
    require_swift
    local options=(-c release --static-swift-stdlib)
    swift build "${options[@]}" --product "$1" >&2
    echo "$(swift build "${options[@]}" --show-bin-path)/$1"
}

# Waits up to 30 seconds until a command succeeds.
wait_for() {
    local deadline=$((SECONDS + 30))
    # shellcheck disable=SC2048,SC2086  # callers may give one string of words
    until $* >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "gave up after 30 s waiting for: $*"
        sleep 0.05
    done
}

# The middle one of the numbers on standard input.
median() {
    sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
