# From the folder that holds output:
#
#   terraform -chdir=example/deploy/terraform init
#   terraform -chdir=example/deploy/terraform apply

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0" # the first in which a resource has a region
    }
  }
}

variable "architecture" {
  description = "What the image was built for: x86_64 or arm64"
  type        = string
  default     = "x86_64"
}

variable "output" {
  description = "The folder that img2lambda has written to, as seen from this one"
  type        = string
  default     = "../../../output"
}

resource "aws_iam_role" "php" {
  name = "lambda-php"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "log" {
  role       = aws_iam_role.php.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "php" {
  for_each = local.functions

  region           = each.value.region
  function_name    = "lambda-php-${each.value.name}"
  role             = aws_iam_role.php.arn
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "functions.${each.value.name}"
  layers           = local.layers[each.value.region]
  filename         = local.package
  source_code_hash = filebase64sha256(local.package)
}

output "functions" {
  value = { for name, function in aws_lambda_function.php : name => function.arn }
}
