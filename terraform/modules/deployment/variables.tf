variable "text" {
  description = "What is in deployment.json."
  type        = string

  validation {
    condition     = can(jsondecode(var.text).regions[0].name)
    error_message = "It must be JSON, and name at least one region."
  }
}
