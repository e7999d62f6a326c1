#!/bin/sh
# Goes a newcomer's way: clone, install, look at an image's layers, publish them, and
# publish again, which finds them all. No AWS account is needed: the Lambda API is one
# on this machine.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
api=
trap '[ -z "$api" ] || kill "$api"; rm -rf "$dir"' EXIT

cd "$dir"
git clone --quiet "$top" clone
make -C clone install PREFIX="$dir"
export PATH="$dir/bin:$PATH"
img2lambda --version
clone/.github/image.sh image.tar

img2lambda -i docker-archive:image.tar --dry-run
ls output/layer-1.zip output/layer-2.zip output/report.json

(cd clone && go build -o "$dir/bin/fakelambda" ./internal/fakelambda/cmd/fakelambda)
mkfifo url
fakelambda >url &
api=$!
read -r AWS_ENDPOINT_URL <url
export AWS_ENDPOINT_URL AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none
img2lambda -i docker-archive:image.tar
cp output/layers.json first.json
img2lambda -i docker-archive:image.tar
cmp first.json output/layers.json # other versions would have other ARNs
