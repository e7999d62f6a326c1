#!/bin/sh
# Makes sure that the example's base image is there, on machines that can reach
# no registry too: an image that the engine has is kept, else it is pulled, else
# a minimal Debian is bootstrapped from the apt mirror that this machine itself
# uses and imported under the same name.
#
# usage: base.sh [IMAGE]      IMAGE is debian:SUITE or debian:SUITE-slim,
#                             default debian:bookworm-slim
set -eu

image=${1:-debian:bookworm-slim}

if docker image inspect "$image" >/dev/null 2>&1; then
	exit 0
fi
if docker pull "$image" >&2; then
	exit 0
fi

case $image in
debian:?*) suite=${image#debian:} suite=${suite%-slim} ;;
*)
	echo "base.sh: cannot pull $image, and only debian:SUITE can be made here" >&2
	exit 1
	;;
esac
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
	echo "base.sh: cannot pull $image; making it takes root and debootstrap (apt-get install debootstrap)" >&2
	exit 1
fi
echo "base.sh: making $image with debootstrap" >&2

# This machine's own package sources for that suite (SUITE, SUITE-updates,
# SUITE-security …), in whatever form they are configured: "URI RELEASE COMPONENT".
# shellcheck disable=SC2016 # the names are for apt to expand
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
	'Created-By: Packages' | awk -v s="$suite" '$2 == s || index($2, s "-") == 1' | sort -u)
mirror=$(echo "$sources" | awk -v s="$suite" '$2 == s { print $1; exit }')

work=$(mktemp -d)
root=$work/root
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Without a mirror of its own for the suite, the machine leaves the choice to debootstrap.
if ! debootstrap --variant=minbase "$suite" "$root" ${mirror:+"$mirror"} >"$work/log" 2>&1; then
	tail -n 20 "$work/log" >&2
	exit 1
fi

if [ -n "$sources" ]; then
	echo "$sources" | sed 's/^/deb /' >"$root/etc/apt/sources.list"
fi
# How packages are fetched (proxies, retries, checks) holds in the image too …
apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-)' \
	>"$root/etc/apt/apt.conf.d/90host" || true
# … and what only fills an image does not.
cat >"$root/etc/apt/apt.conf.d/90image" <<'CONF'
Acquire::Languages "none";
Apt::AutoRemove::SuggestsImportant "false";
CONF
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*

tar -C "$root" --numeric-owner -cf "$work/image.tar" .
docker import --change 'CMD ["bash"]' "$work/image.tar" "$image" >&2
