output "name_servers" {
  description = "What the domain is to be delegated to."
  value       = hcloud_zone.this.authoritative_nameservers
}

output "records" {
  description = "Addresses by name and type."
  value       = { for key, set in hcloud_zone_rrset.this : key => set.records[*].value }
}
