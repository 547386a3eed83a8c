output "servers" {
  description = "Public IPv4 address of each machine, by its name."
  value       = { for name, machine in module.machine : name => machine.ipv4 }
}

output "subnet_id" {
  description = "Subnet that the region's other machines stand in."
  value       = hcloud_network_subnet.this.id
}
