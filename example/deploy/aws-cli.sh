#!/bin/sh
# Creates a function of the layers and the deployment package that img2lambda has left
# in output, or brings the one that is there up to date, and invokes it.
#
# usage: example/deploy/aws-cli.sh [NAME] [EVENT]
#
# NAME is a function in src/functions.php, default hello. Run it where output is. If
# that has a folder for each region, AWS_REGION says which. The function's role is
# ROLE_ARN, or else one called lambda-php, which is made if there is none.
# With AWS CLI 1 and 2. For an arm64 image: ARCHITECTURE=arm64.
set -eu

name=${1:-hello}
event=${2:-'{"name": "World"}'}
function=lambda-php-$name
layers=output/layers.json
if [ ! -e "$layers" ]; then
	layers=output/${AWS_REGION:?is the region to create the function in}/layers.json
	export AWS_DEFAULT_REGION="$AWS_REGION" # for AWS CLI 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# role prints the ARN of a role that may do nothing but write the function's log.
role() {
	if aws iam get-role --role-name lambda-php --query Role.Arn --output text 2>/dev/null; then
		return
	fi
	aws iam create-role --role-name lambda-php --query Role.Arn --output text --assume-role-policy-document \
		'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}'
	aws iam attach-role-policy --role-name lambda-php \
		--policy-arn arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole
}

# create makes the function. A new role takes some seconds until Lambda knows it.
create() {
	for pause in 2 4 8 16 0; do
		if aws lambda create-function --function-name "$function" \
			--runtime provided.al2023 \
			--architectures "${ARCHITECTURE:-x86_64}" \
			--handler "functions.$name" \
			--layers "file://$layers" \
			--zip-file fileb://output/function.zip \
			--role "$ROLE_ARN" >/dev/null 2>"$work/error"; then
			return
		fi
		grep -q "cannot be assumed by Lambda" "$work/error" || break
		sleep "$pause"
	done
	cat "$work/error" >&2
	return 1
}

if aws lambda get-function --function-name "$function" >/dev/null 2>&1; then
	aws lambda update-function-code --function-name "$function" \
		--zip-file fileb://output/function.zip >/dev/null
	aws lambda wait function-updated --function-name "$function"
	aws lambda update-function-configuration --function-name "$function" \
		--layers "file://$layers" >/dev/null
	aws lambda wait function-updated --function-name "$function"
else
	ROLE_ARN=${ROLE_ARN:-$(role)}
	create
	aws lambda wait function-active --function-name "$function"
fi

# fileb, since both versions of the CLI take that as it is.
printf '%s' "$event" >"$work/event.json"
aws lambda invoke --function-name "$function" --payload "fileb://$work/event.json" "$work/answer.json" >&2
cat "$work/answer.json"
echo
