variable "machines" {
  description = "Machines of this role in one region, by name, as modules/deployment has them."
  type        = any
}

variable "deployment_name" {
  description = "What the deployment is called."
  type        = string
}

variable "user_data" {
  description = "cloud-init of each machine, by its name."
  type        = map(string)
}

variable "region" {
  description = "The region as deployment.json has it."
  type        = any

  validation {
    condition     = can(cidrsubnet(var.region.machines.network, 0, 0))
    error_message = "machines.network of the region must be a CIDR block."
  }
}

variable "ssh_keys" {
  description = "Names of SSH keys in the account."
  type        = list(string)
}
