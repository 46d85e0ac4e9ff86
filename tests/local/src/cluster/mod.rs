//! The slice of the Kubernetes API that the autoscaler uses; a pod is a process.
