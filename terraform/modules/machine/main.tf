# One rented machine with the public addresses that were reserved for it.

# Reserved apart (../../addresses), so that a machine can be replaced and keep them. One that deployment.json names and
# that is not reserved in this account ends the plan here.
data "hcloud_primary_ip" "v4" {
  count      = var.machine.ipv4 == null ? 0 : 1
  ip_address = var.machine.ipv4
}

data "hcloud_primary_ip" "v6" {
  count = var.machine.ipv6 == null ? 0 : 1
  name  = "${var.deployment_name}-${var.machine.name}-v6"
}

resource "hcloud_server" "this" {
  name               = "${var.deployment_name}-${var.machine.name}"
  server_type        = var.machine.server_type
  location           = var.machine.location
  image              = "debian-12"
  ssh_keys           = var.ssh_keys
  user_data          = var.user_data
  placement_group_id = var.placement_group_id

  labels = {
    deployment = var.deployment_name
    region     = var.machine.region
    role       = var.machine.role
  }

  public_net {
    ipv4_enabled = true
    ipv4         = one(data.hcloud_primary_ip.v4[*].id)
    ipv6_enabled = true
    ipv6         = one(data.hcloud_primary_ip.v6[*].id)
  }

  # A systemd unit is given its time to drain.
  shutdown_before_deletion = true

  lifecycle {
    # New cloud-init or a newer key would replace every machine at once. They are replaced one by one, by
    # `terraform apply -replace=…`, after a drain: docs/deploying.md.
    ignore_changes = [user_data, ssh_keys, image]
  }
}

resource "hcloud_server_network" "this" {
  server_id = hcloud_server.this.id
  subnet_id = var.subnet_id
  ip        = var.machine.private_ip
}
