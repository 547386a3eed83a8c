output "server_id" {
  value = hcloud_server.this.id
}

output "ipv4" {
  value = hcloud_server.this.ipv4_address
}
