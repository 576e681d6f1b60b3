#!/usr/bin/env bash
# Makes the smallest Debian that a package can be installed in, once per release, in the cache of this checkout. Needs root
# and debootstrap. usage: fetch_debian.sh RELEASE
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/debian-$1"

if [[ -d $root ]]; then
    exit 0
fi
echo "Making Debian $1 (300 MB) in .cache/debian-$1"
# Under another name until it is complete, so that an interrupted download is not taken for the whole.
rm -rf "$root.part"
debootstrap --variant=minbase --include=systemd,udev,python3 "$1" "$root.part" http://deb.debian.org/debian >/dev/null
rm -rf "$root.part"/var/cache/apt/*.bin "$root.part"/var/cache/apt/archives/*.deb "$root.part"/var/lib/apt/lists/*
mv "$root.part" "$root"
