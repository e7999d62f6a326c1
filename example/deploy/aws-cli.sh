#!/bin/sh
# Creates a function of the layers and the deployment package that img2lambda has left
# in output, or brings the one that is there up to date, and invokes it.
#
# usage: ROLE_ARN=arn:aws:iam::ACCOUNT:role/NAME deploy/aws-cli.sh [NAME] [EVENT]
#
# NAME is a function in src/functions.php, default hello. Run it where output is.
# With AWS CLI 1 and 2. For an arm64 image: ARCHITECTURE=arm64.
set -eu

name=${1:-hello}
event=${2:-'{"name": "World"}'}
function=lambda-php-$name

if aws lambda get-function --function-name "$function" >/dev/null 2>&1; then
	aws lambda update-function-code --function-name "$function" \
		--zip-file fileb://output/function.zip >/dev/null
	aws lambda wait function-updated --function-name "$function"
	aws lambda update-function-configuration --function-name "$function" \
		--layers file://output/layers.json >/dev/null
	aws lambda wait function-updated --function-name "$function"
else
	aws lambda create-function --function-name "$function" \
		--runtime provided.al2023 \
		--architectures "${ARCHITECTURE:-x86_64}" \
		--handler "functions.$name" \
		--layers file://output/layers.json \
		--zip-file fileb://output/function.zip \
		--role "${ROLE_ARN:?is the role that the function runs with}" >/dev/null
	aws lambda wait function-active --function-name "$function"
fi

# fileb, since both versions of the CLI take that as it is.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s' "$event" >"$work/event.json"
aws lambda invoke --function-name "$function" --payload "fileb://$work/event.json" "$work/answer.json" >&2
cat "$work/answer.json"
echo
