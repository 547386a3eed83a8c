variable "deployment" {
  description = "deployment.json, decoded."
  type        = any
}
