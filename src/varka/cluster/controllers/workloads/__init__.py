"""What makes pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs, and the pure arithmetic behind them."""
