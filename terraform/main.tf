# A whole deployment out of deployment.json. Adding a region is one block there.

provider "hcloud" {
  token = var.hcloud_token
}

module "deployment" {
  source = "./modules/deployment"
  text   = file(var.deployment_file)
}

locals {
  machines = module.deployment.machines
  regions  = module.deployment.regions
  name     = module.deployment.deployment.name
  # By role, then by region, then by name.
  by_role = { for role in ["region", "voice", "pop", "database", "bus", "geodns", "observability"] : role => {
    for region in keys(local.regions) : region => {
      for name, machine in local.machines : name => machine if machine.role == role && machine.region == region
    }
  } }
  user_data = { for name, config in module.config : name => config.user_data }
}

module "config" {
  source   = "./modules/node-config"
  for_each = local.machines

  machine             = each.value
  machines            = local.machines
  deployment          = module.deployment.deployment
  deployment_text     = module.deployment.text
  release             = var.release
  admin_networks      = var.admin_networks
  database_apt_source = var.database_apt_source
  multi_node          = var.multi_node
}

module "region" {
  source   = "./modules/region"
  for_each = local.regions

  region          = each.value
  machines        = local.by_role.region[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
}

module "voice" {
  source   = "./modules/voice"
  for_each = local.regions

  machines        = local.by_role.voice[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "pop" {
  source   = "./modules/pop"
  for_each = local.regions

  machines        = local.by_role.pop[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "database" {
  source   = "./modules/database"
  for_each = local.regions

  machines        = local.by_role.database[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "bus" {
  source   = "./modules/bus"
  for_each = local.regions

  machines        = local.by_role.bus[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "geodns" {
  source   = "./modules/geodns"
  for_each = var.dns == "geodns" ? local.regions : {}

  machines        = local.by_role.geodns[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "observability" {
  source   = "./modules/observability"
  for_each = local.regions

  machines        = local.by_role.observability[each.key]
  deployment_name = local.name
  user_data       = local.user_data
  ssh_keys        = var.ssh_keys
  subnet_id       = module.region[each.key].subnet_id
}

module "cloud_dns" {
  source = "./modules/cloud-dns"
  count  = var.dns == "hcloud" ? 1 : 0

  deployment = module.deployment.deployment
}
