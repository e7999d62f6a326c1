# What img2lambda has left: layers.json, or with several regions one in a folder for each.

locals {
  package = "${var.output}/function.zip"

  files  = setunion(fileset(var.output, "layers.json"), fileset(var.output, "*/layers.json"))
  lists  = [for name in local.files : jsondecode(file("${var.output}/${name}"))]
  layers = { for arns in local.lists : split(":", arns[0])[3] => arns } # by region

  functions = merge([
    for region in keys(local.layers) : {
      for name in ["hello", "goodbye"] : "${region}/${name}" => { region = region, name = name }
    }
  ]...)
}
