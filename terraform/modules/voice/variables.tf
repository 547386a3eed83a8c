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

variable "subnet_id" {
  description = "Subnet of the region's private network."
  type        = string
}

variable "ssh_keys" {
  description = "Names of SSH keys in the account."
  type        = list(string)
}
