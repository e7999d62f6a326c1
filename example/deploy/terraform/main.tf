# From the folder that holds output:
#
#   terraform -chdir=deploy/terraform init
#   terraform -chdir=deploy/terraform apply -var role_arn=arn:aws:iam::ACCOUNT:role/NAME

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.30"
    }
  }
}

variable "role_arn" {
  description = "The role that the functions run with"
  type        = string
}

variable "architecture" {
  description = "What the image was built for: x86_64 or arm64"
  type        = string
  default     = "x86_64"
}

variable "output" {
  description = "The folder that img2lambda has written to, as seen from this one"
  type        = string
  default     = "../../output"
}

locals {
  layers  = jsondecode(file("${var.output}/layers.json"))
  package = "${var.output}/function.zip"
}

resource "aws_lambda_function" "php" {
  for_each = toset(["hello", "goodbye"])

  function_name    = "lambda-php-${each.key}"
  role             = var.role_arn
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "functions.${each.key}"
  layers           = local.layers
  filename         = local.package
  source_code_hash = filebase64sha256(local.package)
}

output "functions" {
  value = { for name, function in aws_lambda_function.php : name => function.arn }
}
