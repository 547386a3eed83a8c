output "deployment" {
  description = "The file, decoded."
  value       = local.deployment

  precondition {
    condition     = length(local.mistakes) == 0
    error_message = "deployment.json has mistakes:\n- ${join("\n- ", local.mistakes)}"
  }
}

output "text" {
  description = "The file as it is, for machines that read it."
  value       = var.text
}

output "regions" {
  description = "Regions by name."
  value       = local.regions
}

output "durability" {
  value = local.durability
}

output "machines" {
  description = "Every machine by name: role, region, place, addresses."
  value       = local.machines

  precondition {
    condition     = length(local.mistakes) == 0
    error_message = "deployment.json has mistakes:\n- ${join("\n- ", local.mistakes)}"
  }
}
