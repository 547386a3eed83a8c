output "servers" {
  description = "Public IPv4 address of each machine, by its name."
  value       = { for name, machine in module.machine : name => machine.ipv4 }
}
