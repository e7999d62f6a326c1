#!/bin/sh
# Makes a small image without an engine, as docker save would write it: image.sh FILE
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for layer in runtime library; do
	mkdir -p "$dir/$layer/opt/$layer"
	echo "Hello from the $layer" >"$dir/$layer/opt/$layer/hello"
	tar -cf "$dir/$layer.tar" -C "$dir/$layer" opt
done
go run github.com/google/go-containerregistry/cmd/crane@v0.22.1 append \
	--new_layer "$dir/runtime.tar" --new_layer "$dir/library.tar" --new_tag hello --output "$1"
