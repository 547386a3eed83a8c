# The deployment's own name servers in one region. The zone is generated on them from deployment.json.

module "machine" {
  source   = "../machine"
  for_each = var.machines

  machine         = each.value
  deployment_name = var.deployment_name
  user_data       = var.user_data[each.key]
  subnet_id       = var.subnet_id
  ssh_keys        = var.ssh_keys
}
