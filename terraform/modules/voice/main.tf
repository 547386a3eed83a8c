# A region's voice nodes, each with its relay, on different hosts.

resource "hcloud_placement_group" "this" {
  for_each = toset(length(var.machines) > 0 ? [values(var.machines)[0].region] : [])
  name     = "${var.deployment_name}-${each.key}-voice"
  type     = "spread"
}

module "machine" {
  source   = "../machine"
  for_each = var.machines

  machine            = each.value
  deployment_name    = var.deployment_name
  user_data          = var.user_data[each.key]
  subnet_id          = var.subnet_id
  ssh_keys           = var.ssh_keys
  placement_group_id = one([for group in hcloud_placement_group.this : group.id])
}
