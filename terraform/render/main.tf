# What every machine of a deployment would run, and nothing else: no provider, no account, no network. The lab applies
# it and brings these files and commands into namespaces, so that what it proves is what is deployed.

terraform {
  required_version = ">= 1.9"
}

variable "deployment_file" {
  description = "Path of deployment.json."
  type        = string
}

variable "admin_networks" {
  description = "Networks from which operators reach SSH, in CIDR notation."
  type        = list(string)
  default     = ["127.0.0.0/8"]
}

variable "multi_node" {
  description = "Whether regions are told of the others."
  type        = bool
  default     = false
}

variable "release" {
  description = "The binary, as in ../variables.tf."
  type        = object({ url = string, sha256 = string })
  default     = null
}

module "deployment" {
  source = "../modules/deployment"
  text   = file(var.deployment_file)
}

module "config" {
  source   = "../modules/node-config"
  for_each = module.deployment.machines

  machine         = each.value
  machines        = module.deployment.machines
  deployment      = module.deployment.deployment
  deployment_text = module.deployment.text
  release         = var.release
  admin_networks  = var.admin_networks
  multi_node      = var.multi_node
}

output "machines" {
  description = "Role, region, addresses, files, packages and commands of every machine, by its name."
  value = { for name, machine in module.deployment.machines : name => {
    role       = machine.role
    region     = machine.region
    node       = machine.node
    private_ip = machine.private_ip
    ipv4       = machine.ipv4
    files      = module.config[name].files
    packages   = module.config[name].packages
    commands   = module.config[name].commands
  } }
}
