output "servers" {
  description = "Public IPv4 address of every machine, by role and name."
  value = {
    for role, regions in {
      region        = module.region
      voice         = module.voice
      pop           = module.pop
      database      = module.database
      bus           = module.bus
      geodns        = module.geodns
      observability = module.observability
    } : role => merge([for region in regions : region.servers]...)
  }
}

output "name_servers" {
  description = "What the domain is to be delegated to, where the cloud's DNS has it."
  value       = try(module.cloud_dns[0].name_servers, null)
}
