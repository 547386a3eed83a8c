output "files" {
  description = "Every file: path, mode, content."
  value       = local.files
}

output "packages" {
  description = "Packages of Debian's (and ScyllaDB's) archive."
  value       = local.packages
}

output "commands" {
  description = "What runs once, after files and packages are there; each a list of arguments."
  value       = local.commands
}

output "user_data" {
  description = "All of it as cloud-init. It holds no secret: it stays readable on the machine and in Terraform's state."
  value       = "#cloud-config\n${yamlencode(local.cloud_config)}"

  precondition {
    # Hetzner's limit.
    condition     = length(yamlencode(local.cloud_config)) < 32768
    error_message = "The cloud-init of ${var.machine.name} is over 32 KiB."
  }
}
