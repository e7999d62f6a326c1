#!/bin/sh
# Installs a release of img2lambda, after checking its SHA-256 sum:
#
#	install.sh [VERSION [DIR]]
#
# VERSION is that of the newest release unless given, DIR is ~/.local/bin.
set -eu

server=${GITHUB_SERVER_URL:-https://github.com}
releases=$server/${IMG2LAMBDA_REPOSITORY:-awslabs/aws-lambda-container-image-converter}/releases
version=${1-}
dir=${2-$HOME/.local/bin}

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
MINGW* | MSYS* | CYGWIN*) os=windows ;;
*) fail "there is no release for $(uname -s): use go install" ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "there is no release for $(uname -m): use go install" ;;
esac

if [ -z "$version" ]; then
	# The address of the newest release leads to that of its tag.
	newest=$(curl -fsSL -o /dev/null -w '%{url_effective}' "$releases/latest") || fail "cannot find the newest release"
	version=${newest##*/}
fi

name=img2lambda_${version}_${os}_${arch}
archive=$name.tar.gz
program=img2lambda
if [ "$os" = windows ]; then
	archive=$name.zip
	program=img2lambda.exe
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for file in "$archive" SHA256SUMS; do
	curl -fsSL --retry 3 -o "$tmp/$file" "$releases/download/$version/$file" ||
		fail "cannot get $releases/download/$version/$file"
done

cd "$tmp"
grep "  $archive\$" SHA256SUMS >sum || fail "SHA256SUMS does not list $archive"
if command -v sha256sum >/dev/null; then
	sha256sum -c sum >/dev/null || fail "$archive is not what SHA256SUMS says"
else
	shasum -a 256 -c sum >/dev/null || fail "$archive is not what SHA256SUMS says"
fi
if [ "$os" = windows ]; then
	unzip -q "$archive"
else
	tar -xzf "$archive"
fi
cd - >/dev/null

mkdir -p "$dir"
mv -f "$tmp/$name/$program" "$dir/$program"
echo "$("$dir/$program" --version) is in $dir."
case :$PATH: in
*":$dir:"*) ;;
*) echo "$dir is not on your PATH: export PATH=\"$dir:\$PATH\"" ;;
esac
