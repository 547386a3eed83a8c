# Reserves the public addresses of a deployment, before there are machines: name servers, links and the database are told
# them in deployment.json. Write what this prints into the file.

variable "hcloud_token" {
  description = "The account's token, TF_VAR_hcloud_token. Ephemeral: it gets into no state and no plan."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "deployment_name" {
  description = "`name` of deployment.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.deployment_name))
    error_message = "The name must be 1 to 32 lower-case letters, digits and dashes."
  }
}

variable "machines" {
  description = "Machines and where they stand: { \"eu-node-eu-1\" = \"fsn1\", \"eu-pop-fsn\" = \"fsn1\", \"eu-db-1\" = \"fsn1\", \"eu-bus-1\" = \"fsn1\", \"eu-dns-ns1\" = \"fsn1\" }."
  type        = map(string)

  validation {
    condition     = length(var.machines) > 0 && alltrue([for name in keys(var.machines) : can(regex("^[a-z0-9-]+-(node|pop|db|bus|dns)-[a-z0-9-]+$", name))])
    error_message = "Machines are called <region>-(node|pop|db|bus|dns)-<name>."
  }
}

provider "hcloud" {
  token = var.hcloud_token
}

resource "hcloud_primary_ip" "v4" {
  for_each = var.machines

  name              = "${var.deployment_name}-${each.key}-v4"
  type              = "ipv4"
  location          = each.value
  auto_delete       = false
  delete_protection = true
}

resource "hcloud_primary_ip" "v6" {
  for_each = { for name, location in var.machines : name => location if can(regex("-(pop|dns)-", name)) }

  name              = "${var.deployment_name}-${each.key}-v6"
  type              = "ipv6"
  location          = each.value
  auto_delete       = false
  delete_protection = true
}

output "addresses" {
  description = "What goes into deployment.json, by machine. Of an IPv6 network the machine has the first address."
  value = { for name, address in hcloud_primary_ip.v4 : name => compact([
    address.ip_address,
    try("${hcloud_primary_ip.v6[name].ip_address}1", ""),
  ]) }
}
