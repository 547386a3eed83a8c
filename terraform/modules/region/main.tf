# A region: its private network and its nodes.

resource "hcloud_network" "this" {
  name     = "${var.deployment_name}-${var.region.name}"
  ip_range = var.region.machines.network
}

resource "hcloud_network_subnet" "this" {
  network_id   = hcloud_network.this.id
  type         = "cloud"
  network_zone = var.region.machines.network_zone
  ip_range     = var.region.machines.network
}

resource "hcloud_placement_group" "this" {
  name = "${var.deployment_name}-${var.region.name}-region"
  type = "spread"
}

module "machine" {
  source   = "../machine"
  for_each = var.machines

  machine            = each.value
  deployment_name    = var.deployment_name
  user_data          = var.user_data[each.key]
  subnet_id          = hcloud_network_subnet.this.id
  ssh_keys           = var.ssh_keys
  placement_group_id = hcloud_placement_group.this.id
}
